"""Words, rules and ports of Forebay. Standard library only; nothing here does I/O."""
