//! Readers of the formats that backups are kept in: streaming, bounded, and without a judgement.
