"""What is in a corpus: sizes, lengths, duplicates, leaks, language, the lexical baseline; tables and a page."""
