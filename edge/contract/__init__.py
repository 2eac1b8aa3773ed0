"""What is promised to those who read messages: their schemas, words and examples, made from edge/messages.py."""
