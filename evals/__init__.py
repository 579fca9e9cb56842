"""The judgement: goldens, matching, scores, comparisons."""
