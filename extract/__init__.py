"""The verbs: read transcripts, prompt a model, ground its answers, store the run."""
