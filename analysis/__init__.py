"""What came out: tables, curves and a report from the files of a study."""
