"""What keeps a store well: expiry, garbage, verification, repair, copies, audits, and who may touch what on a disk."""
