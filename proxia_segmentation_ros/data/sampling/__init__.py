"""Which training pair is drawn next."""
