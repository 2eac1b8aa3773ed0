"""The centre: messages of many computers → a database, what is missing, boards, publications. It knows no lane.

arrival (bytes → row or reason) → store (rows → tables, gaps) → views → board, publish.
"""
