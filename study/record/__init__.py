"""What a study keeps: the ledger, its folder, files on any storage, tables for pandas."""
