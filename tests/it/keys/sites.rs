//! `static`: sites of a file, served by rpm itself.

use crate::harness::{Connection, Home, LIMIT, get, port};
use std::{net::TcpStream, thread, time::Instant};

/// `ann:secret`.
const PASSWORD: &str = "Authorization: Basic YW5uOnNlY3JldA==";

/// Waits until somebody listens there. The server says nothing, and is online after a second, in
/// which a busy machine may not have started it.
fn listens(port: u16) {
    let deadline = Instant::now() + LIMIT;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {port}");
        thread::yield_now();
    }
}

#[test]
fn sites_of_a_file_are_served_with_password_list_and_entry_page() {
    let home = Home::new();
    let [spa, files] = [port(), port()];
    for (name, text) in [("index.html", "entry"), ("files/a b.txt", "text")] {
        std::fs::create_dir_all(home.work().join("site/files")).unwrap();
        std::fs::write(home.work().join("site").join(name), text).unwrap();
    }
    let text = format!(
        "{{ apps: [], static: [\n\
         {{ path: 'site', port: {spa}, spa: true, monitor: 'front' }},\n\
         {{ name: 'files', path: 'site/files', port: '{files}', host: '127.0.0.1', ftp: true,\n\
         basic_auth: {{ username: 'ann', password: 'secret' }} }},\n] }}"
    );
    home.write("sites.json", &text);
    let started = home.rpm(["start", "sites.json"]).success();
    assert!(started.stderr.contains("`monitor` means nothing here"), "{started:?}");
    let mut names: Vec<_> = home.jlist().iter().map(|app| app.name().to_owned()).collect();
    names.sort_unstable();
    assert_eq!(names, ["files".to_owned(), format!("static-page-server-{spa}")]);

    [spa, files].into_iter().for_each(listens);
    let page = get(spa, "/some/page").unwrap();
    assert_eq!((page.status, page.body.as_str()), (200, "entry"));
    assert_eq!(get(files, "/").unwrap().status, 401);
    let ask = |path| Connection::open(files).unwrap().get_with(path, PASSWORD).unwrap();
    let list = ask("/");
    assert!(list.status == 200 && list.body.contains("./a%20b.txt"), "{list:?}");
    let file = ask("/a%20b.txt");
    assert_eq!((file.status, file.body.as_str()), (200, "text"));
    // The password is no word of a command line, which every user can read.
    let said = super::words(home.single("files").pid()).join(" ");
    assert!(!said.contains("secret"), "{said}");
    let shown = home.rpm(["show", "files"]).success().stdout;
    assert!(!shown.contains("secret"), "{shown}");
}
