"""One HTML file from one or two runs over goldens, or from two annotators: scores, verdicts, items side by side."""
