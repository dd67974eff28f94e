"""Language models behind one port (:mod:`.base`), their adapters, and answers with or without one."""
