"""The nouns: what a transcript, a codebook, a draft, an extraction, a golden and a run record are."""
