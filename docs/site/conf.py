"""How Sphinx builds the pages that docs/site/pages.py puts together: a site with search, and the manual pages."""

project = "borderflow"
author = "the borderflow developers"
copyright = author
extensions = ["myst_parser"]
root_doc = "index"
html_theme = "furo"
html_title = "borderflow"
html_show_sourcelink = False
html_copy_source = False
highlight_language = "none"  # a block says what it is in; most are commands and layouts of bytes
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
suppress_warnings = ["myst.strikethrough"]
language = "en"

with open("manual.txt", encoding="utf-8") as _file:  # name, page, what it does
    man_pages = [(page, name, text, "", 1) for name, page, text in (line.rstrip("\n").split("\t") for line in _file)]
