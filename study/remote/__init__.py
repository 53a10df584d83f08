"""`--address ray://…`: the study runs in a cluster and is watched from here."""
