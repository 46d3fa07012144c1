"""The languages that can be harvested, by name alone: their grammars take a while to import."""

NAMES = ("python", "java", "javascript", "php", "ruby", "go")
