//! Runs the program the same way on every machine.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A run of `ckx` in the making: empty environment, 100 columns, the root of the repository as
/// current directory, nothing on standard input.
///
/// ```no_run
/// # let ckx = "target/debug/ckx"; // env!("CARGO_BIN_EXE_ckx") in the tests of the package `ckx`
/// use ckx_testkit::Ckx;
///
/// let output = Ckx::new(ckx).args(["decode", "-"]).stdin(b"\x19\x43").run();
/// assert_eq!(output.code, Some(2));
/// ```
#[derive(Debug, Clone)]
pub struct Ckx {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
    input: Vec<u8>,
    hidden: Vec<(Vec<u8>, String)>,
}

/// What a run gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("standard output is UTF-8")
    }

    /// Standard error as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn stderr(&self) -> &str {
        std::str::from_utf8(&self.stderr).expect("standard error is UTF-8")
    }

    /// Standard output of a run that ended with 0 and had nothing to say on standard error.
    ///
    /// # Panics
    /// If it did not.
    pub fn quiet_success(self) -> Vec<u8> {
        let said = String::from_utf8_lossy(&self.stderr);
        assert!(
            self.code == Some(0) && said.is_empty(),
            "exit code {:?}, standard error:\n{said}",
            self.code
        );
        self.stdout
    }
}

/// Root of the repository.
pub fn repository() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("the crate lies two levels below the root")
}

impl Ckx {
    /// A run of the program at `path`: the tests of the package `ckx` give
    /// `env!("CARGO_BIN_EXE_ckx")`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            program: path.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into()), ("COLUMNS".into(), "100".into())],
            directory: repository().to_owned(),
            input: Vec::new(),
            hidden: Vec::new(),
        }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args(self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// A variable in the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Another current directory.
    pub fn directory(self, path: impl AsRef<Path>) -> Self {
        Self { directory: path.as_ref().to_owned(), ..self }
    }

    /// Bytes on standard input.
    pub fn stdin(self, bytes: impl AsRef<[u8]>) -> Self {
        Self { input: bytes.as_ref().to_owned(), ..self }
    }

    /// Shows `word` wherever this path is in the output: temporary directories differ each time.
    pub fn hide(mut self, path: impl AsRef<Path>, word: &str) -> Self {
        self.hidden.push((path.as_ref().as_os_str().as_encoded_bytes().to_owned(), word.to_owned()));
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn run(self) -> Output {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment)
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.display()));
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        let input = self.input;
        // Beside the reading: both pipes could be full at once.
        let writer = std::thread::spawn(move || {
            // The program may end without reading all of it.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().expect("the program can be waited for");
        writer.join().expect("the writer does not panic");
        let shown = |bytes: Vec<u8>| {
            self.hidden.iter().fold(bytes, |bytes, (path, word)| replace(&bytes, path, word.as_bytes()))
        };
        Output { code: output.status.code(), stdout: shown(output.stdout), stderr: shown(output.stderr) }
    }
}

/// `text` with every `from` replaced by `to`.
pub fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        if !from.is_empty() && rest.starts_with(from) {
            result.extend(to);
            rest = &rest[from.len()..];
        } else {
            result.push(rest[0]);
            rest = &rest[1..];
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_in_a_bare_environment() {
        let output = Ckx::new("/usr/bin/env").env("MORE", "1").run();
        let mut lines: Vec<_> = output.stdout().lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["COLUMNS=100", "MORE=1", "PATH=/usr/bin:/bin"]);
        assert_eq!((output.code, output.stderr()), (Some(0), ""));
    }

    #[test]
    fn input_directory_and_hidden_paths() {
        let input = vec![b'x'; 1 << 20];
        assert_eq!(Ckx::new("/bin/cat").stdin(&input).run().quiet_success(), input);
        let output = Ckx::new("/bin/sh").args(["-c", "echo at $PWD/file; echo $PWD >&2; exit 3"]);
        let output = output.hide(repository(), "[ROOT]").run();
        assert_eq!(
            (output.code, output.stdout(), output.stderr()),
            (Some(3), "at [ROOT]/file\n", "[ROOT]\n")
        );
        assert!(repository().join("Cargo.toml").exists());
        let output = Ckx::new("/bin/sh").args(["-c", "pwd"]).directory("/usr").run();
        assert_eq!(output.stdout(), "/usr\n");
    }

    #[test]
    fn replaces_everywhere() {
        assert_eq!(replace(b"/t/a /t/b", b"/t", b"T"), b"T/a T/b");
        assert_eq!(replace(b"abc", b"", b"T"), b"abc");
    }
}
