"""`borderflow board`: waits for the public, and for operators what is behind them. Database → plain records → pages."""
