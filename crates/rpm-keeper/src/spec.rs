//! [`SpawnSpec`]: all that one spawn needs, so that the keeper can do it with no daemon alive; its
//! bytes, which travel in a sealed memory file.

use crate::{
    activation::Activation,
    balance::Balance,
    codec::{Reader, WireError, Writer},
    message::{MAX_NAME, Owner},
};
use rpm_unix::{
    cgroup, memfd,
    spawn::{Credentials, Program},
};
use std::{
    ffi::{CString, OsString},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::PathBuf,
};

/// The version of the bytes. Those before had no control groups, no `limits`, and no `input`.
const FORMAT: u8 = 5;
const FORMAT_WITHOUT_GROUP: u8 = 4;
const FORMAT_WITHOUT_LIMITS: u8 = 3;
const FORMAT_WITHOUT_INPUT: u8 = 2;
/// The kernel's NGROUPS_MAX.
const MAX_GROUPS: usize = 65_536;
/// The kernel's PATH_MAX.
const MAX_PATH: usize = 4096;

/// A program and what rpm wants around it. Travels as a sealed memfd, at most [`Self::MAX_BYTES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnSpec {
    /// What to execute, as whom, where.
    pub program: Program,
    /// Give it a Node IPC channel: `NODE_CHANNEL_FD` and the serialization mode are added to its
    /// environment, and a duplicate of our end is left in it (traps A4).
    pub channel: bool,
    /// Answer its binds and listens for this owner; `None`: no filter.
    pub share: Option<Owner>,
    /// Sockets it inherits; `None`: none, and no `LISTEN_PID`.
    pub activation: Option<Activation>,
    /// How the slots of its app share their addresses.
    pub balance: Balance,
    /// Its standard input is a pipe to be written to through `/proc`, and not `/dev/null`.
    pub input: bool,
    /// What it may use.
    pub limits: Limits,
}

/// What a program may use. `None`: as the keeper's own caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Open files, soft and hard.
    pub open_files: Option<u64>,
    /// Niceness, -20 to 19.
    pub nice: Option<i8>,
    /// A control group of its own with these limits, where one can be made; `None`: it stays in
    /// the keeper's.
    pub group: Option<cgroup::Limits>,
}

impl Limits {
    fn write(self, writer: &mut Writer) {
        writer.bool(self.open_files.is_some());
        writer.u64(self.open_files.unwrap_or_default());
        writer.bool(self.nice.is_some());
        writer.u8(self.nice.unwrap_or_default().cast_unsigned());
        let group = self.group.unwrap_or_default();
        writer.bool(self.group.is_some());
        writer.bool(group.memory.is_some());
        writer.u64(group.memory.unwrap_or_default());
        for number in [group.cpu, group.pids] {
            writer.bool(number.is_some());
            writer.u32(number.unwrap_or_default());
        }
    }

    fn read(reader: &mut Reader<'_>, grouped: bool) -> Result<Self, WireError> {
        let (limited, files) = (reader.bool("open files")?, reader.u64()?);
        let (niced, nice) = (reader.bool("nice")?, reader.u8()?.cast_signed());
        let group = if grouped { read_group(reader)? } else { None };
        Ok(Self { open_files: limited.then_some(files), nice: niced.then_some(nice), group })
    }
}

fn read_group(reader: &mut Reader<'_>) -> Result<Option<cgroup::Limits>, WireError> {
    let grouped = reader.bool("group")?;
    let (limited, memory) = (reader.bool("memory")?, reader.u64()?);
    let memory = limited.then_some(memory);
    let mut number = |what| Ok(reader.bool(what)?.then_some(reader.u32()?));
    let (cpu, pids) = (number("cpu")?, number("pids")?);
    Ok(grouped.then_some(cgroup::Limits { memory, cpu, pids }))
}

impl SpawnSpec {
    /// The largest encoded spec: an environment and arguments may be 2 MiB (execve(2), ARG_MAX).
    pub const MAX_BYTES: usize = 4 << 20;

    /// The spec as [`crate::Request::Spawn`] wants it.
    ///
    /// # Errors
    /// `InvalidInput` if it is beyond a bound, else what the system says.
    pub fn seal(&self) -> io::Result<OwnedFd> {
        let bytes = self.encode().map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("spawn spec: {error}"))
        })?;
        memfd::seal(&bytes)
    }

    /// The spec in a memory file.
    ///
    /// # Errors
    /// `InvalidData` if there is none in it, else what the system says.
    pub fn open(fd: impl AsFd) -> io::Result<Self> {
        let bytes = memfd::read(fd, Self::MAX_BYTES)?;
        Self::decode(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Its bytes.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::default();
        writer.u8(FORMAT);
        write_program(&mut writer, &self.program)?;
        writer.bool(self.channel);
        writer.bool(self.share.is_some());
        if let Some(owner) = &self.share {
            writer.bytes("app", owner.app.as_bytes(), MAX_NAME)?;
            writer.u32(owner.slot);
        }
        writer.bool(self.activation.is_some());
        self.activation.as_ref().map_or(Ok(()), |one| one.write(&mut writer))?;
        writer.u8(self.balance.code());
        writer.bool(self.input);
        self.limits.write(&mut writer);
        let bytes = writer.finish();
        if bytes.len() > Self::MAX_BYTES {
            return Err(WireError::TooLong { what: "spawn spec", max: Self::MAX_BYTES });
        }
        Ok(bytes)
    }

    /// The spec of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let format = reader.u8()?;
        match format {
            FORMAT | FORMAT_WITHOUT_GROUP | FORMAT_WITHOUT_LIMITS | FORMAT_WITHOUT_INPUT => {}
            version => return Err(WireError::Version(version)),
        }
        let program = read_program(&mut reader)?;
        let channel = reader.bool("channel")?;
        let share = if reader.bool("share")? {
            Some(Owner { app: reader.text("app", MAX_NAME)?, slot: reader.u32()? })
        } else {
            None
        };
        let activated = reader.bool("activation")?;
        let activation = activated.then(|| Activation::read(&mut reader)).transpose()?;
        let balance = Balance::of_code(reader.u8()?)?;
        let input = if format >= FORMAT_WITHOUT_LIMITS { reader.bool("input")? } else { false };
        let limits = if format >= FORMAT_WITHOUT_GROUP {
            Limits::read(&mut reader, format >= FORMAT)?
        } else {
            Limits::default()
        };
        reader.finish()?;
        Ok(Self { program, channel, share, activation, balance, input, limits })
    }
}

fn write_program(writer: &mut Writer, program: &Program) -> Result<(), WireError> {
    write_string(writer, &program.file)?;
    write_strings(writer, &program.arguments)?;
    write_strings(writer, &program.environment)?;
    writer.bytes("directory", program.directory.as_os_str().as_bytes(), MAX_PATH)?;
    writer.bool(program.credentials.is_some());
    program.credentials.as_ref().map_or(Ok(()), |user| write_credentials(writer, user))
}

fn read_program(reader: &mut Reader<'_>) -> Result<Program, WireError> {
    Ok(Program {
        file: read_string(reader)?,
        arguments: read_strings(reader)?,
        environment: read_strings(reader)?,
        directory: PathBuf::from(OsString::from_vec(reader.bytes("directory", MAX_PATH)?.to_vec())),
        credentials: if reader.bool("credentials")? {
            Some(read_credentials(reader)?)
        } else {
            None
        },
    })
}

fn write_string(writer: &mut Writer, string: &CString) -> Result<(), WireError> {
    writer.bytes("string", string.as_bytes(), SpawnSpec::MAX_BYTES)
}

fn read_string(reader: &mut Reader<'_>) -> Result<CString, WireError> {
    let bytes = reader.bytes("string", SpawnSpec::MAX_BYTES)?;
    CString::new(bytes).map_err(|_| WireError::Zero { what: "string" })
}

fn write_strings(writer: &mut Writer, strings: &[CString]) -> Result<(), WireError> {
    write_count(writer, "strings", strings.len(), SpawnSpec::MAX_BYTES)?;
    strings.iter().try_for_each(|string| write_string(writer, string))
}

fn read_strings(reader: &mut Reader<'_>) -> Result<Vec<CString>, WireError> {
    let count = read_count(reader, "strings", SpawnSpec::MAX_BYTES)?;
    (0..count).map(|_| read_string(reader)).collect()
}

fn write_credentials(writer: &mut Writer, user: &Credentials) -> Result<(), WireError> {
    writer.u32(user.uid);
    writer.u32(user.gid);
    write_count(writer, "groups", user.groups.len(), MAX_GROUPS)?;
    user.groups.iter().for_each(|group| writer.u32(*group));
    Ok(())
}

fn read_credentials(reader: &mut Reader<'_>) -> Result<Credentials, WireError> {
    let (uid, gid) = (reader.u32()?, reader.u32()?);
    let count = read_count(reader, "groups", MAX_GROUPS)?;
    let groups = (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?;
    Ok(Credentials { uid, gid, groups })
}

fn write_count(
    writer: &mut Writer,
    what: &'static str,
    count: usize,
    max: usize,
) -> Result<(), WireError> {
    let small = u32::try_from(count).ok().filter(|_| count <= max);
    writer.u32(small.ok_or(WireError::TooLong { what, max })?);
    Ok(())
}

/// The length of a list whose entries have at least four bytes each.
fn read_count(reader: &mut Reader<'_>, what: &'static str, max: usize) -> Result<usize, WireError> {
    let count = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
    if count > max {
        return Err(WireError::TooLong { what, max });
    }
    if count > reader.left() / 4 { Err(WireError::Short) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Address;
    use proptest::prelude::*;

    fn string() -> impl Strategy<Value = CString> {
        prop::collection::vec(1_u8.., 0..20).prop_map(|bytes| CString::new(bytes).unwrap())
    }

    fn credentials() -> impl Strategy<Value = Credentials> {
        let groups = prop::collection::vec(any::<u32>(), 0..5);
        (any::<u32>(), any::<u32>(), groups).prop_map(|(uid, gid, groups)| Credentials {
            uid,
            gid,
            groups,
        })
    }

    fn program() -> impl Strategy<Value = Program> {
        let strings = || prop::collection::vec(string(), 0..5);
        (string(), strings(), strings(), ".*", prop::option::of(credentials())).prop_map(
            |(file, arguments, environment, directory, credentials)| Program {
                file,
                arguments,
                environment,
                directory: directory.into(),
                credentials,
            },
        )
    }

    fn spec() -> impl Strategy<Value = SpawnSpec> {
        let owner = || (".*", any::<u32>()).prop_map(|(app, slot)| Owner { app, slot });
        let address =
            any::<([u8; 4], u16)>().prop_map(|(ip, port)| Address::Tcp((ip, port.max(1)).into()));
        let activation = (owner(), prop::collection::vec(address, 0..3))
            .prop_map(|(owner, addresses)| Activation { owner, addresses });
        let (share, activation) = (prop::option::of(owner()), prop::option::of(activation));
        (program(), any::<[bool; 2]>(), share, activation).prop_map(
            |(program, [channel, input], share, activation)| {
                let balance = if channel { Balance::IpHash } else { Balance::Even };
                let nice = channel.then_some(-3);
                let group = cgroup::Limits { memory: Some(1 << 20), cpu: None, pids: Some(9) };
                let group = input.then_some(group);
                let limits = Limits { open_files: nice.map(|_| 4096), nice, group };
                SpawnSpec { program, channel, share, activation, balance, input, limits }
            },
        )
    }

    proptest! {
        #[test]
        fn every_spec_comes_back(spec in spec()) {
            let bytes = spec.encode().unwrap();
            prop_assert_eq!(SpawnSpec::decode(&bytes), Ok(spec));
        }

        #[test]
        fn no_part_of_a_spec_is_one(spec in spec(), cut in any::<prop::sample::Index>()) {
            let mut bytes = spec.encode().unwrap();
            bytes.truncate(cut.index(bytes.len()));
            prop_assert!(SpawnSpec::decode(&bytes).is_err());
        }

        #[test]
        fn no_changed_spec_panics_the_reader(
            spec in spec(),
            at in any::<prop::sample::Index>(),
            byte: u8,
        ) {
            let mut bytes = spec.encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _read = SpawnSpec::decode(&bytes);
        }

        #[test]
        fn no_bytes_panic_the_reader(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _read = SpawnSpec::decode(&bytes);
            bytes.insert(0, FORMAT);
            let _read = SpawnSpec::decode(&bytes);
        }
    }

    #[test]
    fn a_count_larger_than_the_message_allocates_nothing() {
        let mut bytes = vec![FORMAT, 0, 0, 0, 0];
        bytes.extend(u32::try_from(SpawnSpec::MAX_BYTES).unwrap().to_le_bytes());
        assert_eq!(SpawnSpec::decode(&bytes), Err(WireError::Short));
        let past = u32::try_from(SpawnSpec::MAX_BYTES + 1).unwrap().to_le_bytes();
        bytes.splice(5.., past);
        let max = SpawnSpec::MAX_BYTES;
        let long = Err(WireError::TooLong { what: "strings", max });
        assert_eq!(SpawnSpec::decode(&bytes), long);
    }

    #[test]
    fn a_spec_travels_in_a_memory_file() {
        let spec = SpawnSpec {
            program: Program {
                file: c"node".to_owned(),
                arguments: vec![c"node".to_owned(), c"app.js".to_owned()],
                environment: vec![c"A=1".to_owned()],
                directory: "/srv".into(),
                credentials: None,
            },
            channel: true,
            share: Some(Owner { app: "web".to_owned(), slot: 3 }),
            activation: Some(Activation {
                owner: Owner { app: "web".to_owned(), slot: 3 },
                addresses: vec![Address::Unix("/run/web.sock".into())],
            }),
            balance: Balance::RoundRobin,
            input: true,
            limits: Limits::default(),
        };
        let fd = spec.seal().unwrap();
        assert_eq!(SpawnSpec::open(&fd).unwrap(), spec);
        let garbage = memfd::seal(b"\x02garbage").unwrap();
        assert_eq!(SpawnSpec::open(&garbage).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
