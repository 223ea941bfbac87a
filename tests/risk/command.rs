//! `runsheet lint` as people and CI call it.
