"""What model responses used and cost, in a ledger nobody can change unseen."""
