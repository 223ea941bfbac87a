//! Real migrations, where they have been laid out.
