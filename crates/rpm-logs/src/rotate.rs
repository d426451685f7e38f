//! Rotation: a log that is large or old enough gets a name of its own, and the writer goes on in a
//! new file. By rename and reopen of the one writer, so that no byte is lost or copied.

pub mod name;
