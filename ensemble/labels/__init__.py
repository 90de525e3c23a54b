"""Review of suspicious labels: ranking, the queue file, corrected labels and scores with them."""
