//! The browser in a real terminal: from opening to the terminal as it was before.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Longer than anything takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program on a terminal.
struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    keys: Box<dyn std::io::Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    /// Ends when the program has, and all that it wrote was taken.
    reader: JoinHandle<()>,
    /// All that the program wrote.
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_ckx"));
        command.args(arguments);
        command.cwd(env!("CARGO_MANIFEST_DIR"));
        command.env("TERM", "xterm-256color");
        command.env_remove("NO_COLOR");
        variables.iter().for_each(|(name, value)| command.env(name, value));
        let child = pair.slave.spawn_command(command).expect("ckx starts");
        let mut reader = pair.master.try_clone_reader().expect("it can be read");
        let keys = pair.master.take_writer().expect("it can be written to");
        let rows = 24.try_into().expect("not zero");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, 80.try_into().expect("not zero"), 0)));
        let written = Arc::new(Mutex::new(Vec::new()));
        let (to, log) = (screen.clone(), written.clone());
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                to.lock().expect("no panic").process(&buffer[..read]);
                log.lock().expect("no panic").extend_from_slice(&buffer[..read]);
            }
        });
        Self { screen, keys, child, master: pair.master, reader, written }
    }

    fn text(&self) -> String {
        self.screen.lock().expect("no panic").screen().contents()
    }

    /// Waits until something is on the screen.
    fn wait(&self, what: &str) {
        self.wait_until(what, || self.text().contains(what));
    }

    /// Waits until something is so.
    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < PATIENCE, "no `{what}` in\n{}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.process_id().expect("it runs").to_string();
        let killed = std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(killed.is_ok_and(|status| status.success()));
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
        self.keys.flush().expect("the terminal takes keys");
    }

    /// Waits for the end; the exit code.
    fn end(mut self) -> (u32, String, Vec<u8>) {
        let code = self.child.wait().expect("it ends").exit_code();
        // What it wrote last may still be under way; reading ends when nobody has the terminal any more.
        self.reader.join().expect("no panic");
        assert!(is_cooked(&*self.master), "what is typed is seen again");
        let state = self.screen.lock().expect("no panic");
        assert_eq!(taken(state.screen()), [false; 4], "the screen is the shell's again");
        let text = state.screen().contents();
        drop(state);
        let written = self.written.lock().expect("no panic").clone();
        (code, text, written)
    }
}

/// What a browser takes of a terminal: the other screen, the cursor, pasting, the mouse.
fn taken(screen: &vt100::Screen) -> [bool; 4] {
    [
        screen.alternate_screen(),
        screen.hide_cursor(),
        screen.bracketed_paste(),
        screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None,
    ]
}

const NGINX: &str = "fixtures/checkpoints/nginx-crio-1.tar.zst";

/// Whether the terminal echoes what is typed and hands it on by lines, as a shell leaves it.
fn is_cooked(master: &dyn MasterPty) -> bool {
    let modes = master.get_termios().expect("a terminal has modes");
    modes.local_flags.bits() & (ECHO | ICANON) == ECHO | ICANON
}

/// Bits of `c_lflag`, as Linux has them.
const ICANON: u32 = 0o2;
const ECHO: u32 = 0o10;

#[test]
fn one_walks_from_the_container_to_a_byte_and_writes_it_down() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("page.bin");
    let mut terminal = Terminal::start(&["tui", NGINX], &[]);
    terminal.wait("localhost/corpus-nginx:1");
    assert!(!is_cooked(&*terminal.master));
    terminal.press("s");
    terminal.wait("search:");
    terminal.press("worker process\r");
    terminal.wait("3 found in");
    terminal.wait("start worker processes");
    terminal.press("j\r");
    terminal.wait("memory of 7");
    terminal.wait("0x7fff33032ee7  page in the dump");
    terminal.wait("process");
    terminal.press("e");
    terminal.wait("write bytes of the mapping");
    terminal.press("\t");
    terminal.wait("write bytes of the page");
    terminal.press(&format!("\x15{}\r", path.display()));
    terminal.wait("wrote bytes of the page");
    terminal.press("y");
    terminal.wait("copied");
    assert!(terminal.screen.lock().expect("no panic").screen().alternate_screen());
    terminal.press("q");
    let (code, _, written) = terminal.end();
    assert_eq!(code, 0);
    let page = std::fs::read(&path).expect("it was written");
    assert_eq!(page.len(), 4096);
    assert!(page[0xee7..].starts_with(b"worker process"));
    let clipboard = b"\x1b]52;c;";
    assert!(written.windows(clipboard.len()).any(|window| window == clipboard), "the clipboard was set");
}

#[test]
fn signals_give_the_terminal_back() {
    for (signal, name) in [("15", "TERM"), ("2", "INT"), ("1", "HUP")] {
        let terminal = Terminal::start(&["tui", NGINX], &[("NO_COLOR", "1")]);
        terminal.wait("localhost/corpus-nginx:1");
        terminal.signal(name);
        let (code, text, written) = terminal.end();
        assert_eq!(code, 2, "{name}");
        assert!(text.contains(&format!("ended by signal {signal}")), "{text}");
        let colour = b"\x1b[38;5;";
        assert!(!written.windows(colour.len()).any(|window| window == colour), "NO_COLOR is followed");
    }
}

#[test]
fn the_mouse_selects_and_scrolls() {
    let mut terminal = Terminal::start(&["tui", NGINX], &[]);
    terminal.wait("localhost/corpus-nginx:1");
    assert!(taken(terminal.screen.lock().expect("no panic").screen())[3]);
    // The third line of the tree, then the second of what is in it.
    terminal.press("\x1b[<0;5;4M\x1b[<0;5;4m");
    terminal.wait("IN DUMP");
    terminal.press("\x1b[<0;40;4M\x1b[<0;40;4m");
    terminal.wait("3/6");
    terminal.press("\x1b[<65;40;4M");
    terminal.wait("6/6");
    terminal.press("q");
    assert_eq!(terminal.end().0, 0);
    let mut terminal = Terminal::start(&["tui", "--no-mouse", NGINX], &[]);
    terminal.wait("localhost/corpus-nginx:1");
    assert!(!taken(terminal.screen.lock().expect("no panic").screen())[3]);
    terminal.press("q");
    assert_eq!(terminal.end().0, 0);
}

/// Whether a process is stopped: its state in `/proc/PID/stat`, after the name.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

#[test]
fn the_shell_has_the_terminal_while_the_browser_is_stopped() {
    // The key, and the signal that somebody else sends.
    for by_key in [true, false] {
        let mut terminal = Terminal::start(&["tui", NGINX], &[]);
        terminal.wait("localhost/corpus-nginx:1");
        let pid = terminal.child.process_id().expect("it runs");
        if by_key {
            terminal.press("\x1a");
        } else {
            terminal.signal("TSTP");
        }
        terminal.wait_until("process that is stopped", || is_stopped(pid));
        let state = || taken(terminal.screen.lock().expect("no panic").screen());
        terminal.wait_until("screen of the shell", || state() == [false; 4]);
        assert!(is_cooked(&*terminal.master));
        terminal.signal("CONT");
        terminal.wait_until("screen of the browser", || state()[..3] == [true; 3]);
        terminal.wait("localhost/corpus-nginx:1");
        assert!(!is_cooked(&*terminal.master));
        // It goes on where it was.
        terminal.press("?");
        let help = "Copy what is selected to the clipboard";
        terminal.wait(help);
        terminal.press("\x7f");
        terminal.wait_until("end of the help", || !terminal.text().contains(help));
        terminal.press("q");
        let (code, _, _) = terminal.end();
        assert_eq!(code, 0);
    }
}
