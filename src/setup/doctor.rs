//! What this kernel offers.
