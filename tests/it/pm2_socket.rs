//! npm's unmodified `pm2`, as a module and as a command, with its home pointed at ours; and what
//! comes to those sockets otherwise.

use crate::harness::{Home, LIMIT, Rpm, node_modules, port};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
};

/// A home with PM2's sockets, and what scripts need beside them.
fn home() -> Home {
    let home = Home::new();
    home.modules();
    home.copy("pm2-client.js");
    home.copy("messages.js");
    home.rpm(["set", "pm2_socket", "true"]).stdout("set pm2_socket to true\n").success();
    home.rpm(["ping"]).success();
    home
}

/// A script that has the helpers of pm2-client.js, as a command.
fn script(home: &Home, text: &str) -> Rpm {
    let head = "const { pm2, call, reason, brief, listen, said, until, run } = \
                require('./pm2-client.js');\n";
    let path = home.write("script.js", &format!("{head}run(async () => {{\n{text}\n}});"));
    // messages.js listens there in cluster mode, and so is ready at once.
    let words = ["node", path.to_str().expect("a path")];
    Rpm::new(home, &words).env("PM2_HOME", home.path().display()).env("PORT", port())
}

/// npm's `pm2` command.
fn command(home: &Home, words: &[&str]) -> Rpm {
    let program = node_modules().join("pm2/bin/pm2");
    let words = [&["node", program.to_str().expect("a path")], words].concat();
    let command = Rpm::new(home, &words).env("PM2_HOME", home.path().display());
    command.env("NO_COLOR", 1).env("PM2_DISCRETE_MODE", 1)
}

#[test]
fn apps_live_by_the_module() {
    let home = home();
    let text = "
        console.log('list', brief(await call('list')));
        const web = { script: 'messages.js', name: 'web', instances: 2, exec_mode: 'cluster',
                      env: { FLAVOUR: 'sweet' }, max_memory_restart: '200M' };
        console.log('start', brief(await call('start', web)));
        const one_app = { script: 'messages.js', name: 'one', env: { PORT: '' } };
        console.log('start', brief(await call('start', one_app)));
        const [one] = await call('describe', 'one');
        console.log(one.name, one.pid > 1, one.pm2_env.exec_mode,
                    one.pm2_env.env.FLAVOUR, one.monit.memory > 1e6);
        const [first] = await call('describe', 'web');
        console.log(first.pm2_env.exec_mode, first.pm2_env.max_memory_restart,
                    first.pm2_env.env.FLAVOUR, first.pm2_env.NODE_APP_INSTANCE);
        console.log('restart', brief(await call('restart', 'web')));
        console.log('reload', brief(await call('reload', 'web')));
        console.log('stop', brief(await call('stop', 'one')));
        console.log('list', brief(await call('list')));
        console.log('restart', brief(await call('restart', 'one')));
        console.log('scale', brief(await call('describe', (await call('scale', 'web', 3), 'web'))));
        await call('reset', 'web');
        console.log('reset', brief(await call('describe', 'web')));
        console.log('delete', brief(await call('delete', 2)));
        console.log('unknown', await call('restart', 'nobody').catch(reason));
        console.log('unknown', await call('stop', 77).catch(reason));
        const same = { script: 'messages.js', name: 'web', force: true };
        console.log('again', await call('start', same).then(brief, reason));
        console.log('missing', await call('start', { script: 'no.js', name: 'x' }).catch(reason));
        console.log('version', JSON.stringify(await call('getVersion').catch(reason)));
        console.log('delete', (await call('delete', 'all')).length);
        console.log('list', brief(await call('list')));";
    let want = "list \n\
        start web 0 online 0, web 1 online 0\n\
        start one 2 online 0\n\
        one true fork_mode undefined true\n\
        cluster_mode 209715200 sweet 0\n\
        restart web 0 online 1, web 1 online 1\n\
        reload web 0 online 2, web 1 online 2\n\
        stop one 2 stopped 0\n\
        list web 0 online 2, web 1 online 2, one 2 stopped 0\n\
        restart one 2 online 0\n\
        scale web 0 online 2, web 1 online 2, web 3 online 0\n\
        reset web 0 online 0, web 1 online 0, web 3 online 0\n\
        delete one 2 stopped 0\n\
        unknown process or namespace not found\n\
        unknown no app, id, namespace or pattern matches \"77\": rpm ls shows what there is\n\
        again web 0 online 1, web 1 online 1, web 3 online 1\n\
        missing Script not found: $ROOT/work/no.js\n\
        version \"7.0.4\"\n\
        delete 3\n\
        list \n";
    script(&home, text).stdout(want).success();
}

#[test]
fn data_lines_signals_and_actions_reach_apps() {
    let home = home();
    home.copy("stdin.js");
    let text = "
        await call('start', { script: 'messages.js', name: 'web', instances: 1 });
        await call('start', 'stdin.js', { name: 'in' });
        await listen();
        const packet = { type: 'process:msg', topic: 'greet', data: { hello: 1 } };
        console.log(JSON.stringify(await call('sendDataToProcessId', 0, packet)));
        const { raw, process, at } = await until('process:msg', () => true);
        console.log(JSON.stringify(raw), JSON.stringify(process), Date.now() - at < 60000);
        console.log(JSON.stringify(await call('sendLineToStdin', 1, 'a line')));
        const line = await until('log:out', (one) => one.data.includes('a line'));
        console.log(JSON.stringify([line.data, line.process]));
        console.log(await call('sendDataToProcessId', 7, packet).catch(reason));
        console.log(await call('sendDataToProcessId', 0, { data: 1 }).catch(reason));
        const triggered = await call('trigger', 'web', 'add', '1,2');
        console.log(JSON.stringify(triggered.map((one) => one.data.return)));
        const before = (await call('list'))[0].pid;
        await call('sendSignalToProcessName', 'SIGKILL', 'web');
        await until('process:event', (one) => one.event === 'online' && one.process.name === 'web');
        const after = (await call('list'))[0];
        console.log(after.pid !== before, after.pm2_env.restart_time);
        console.log(await call('sendSignalToProcessId', 'SIGNONE', 0).catch(reason));";
    let want = "{\"data\":{\"data\":{\"hello\":1},\"id\":0,\"topic\":\"greet\",\
        \"type\":\"process:msg\"},\"success\":true}\n\
        {\"echo\":{\"data\":{\"hello\":1},\"id\":0,\"topic\":\"greet\",\"type\":\"process:msg\"},\
        \"worker\":1} {\"name\":\"web\",\"namespace\":\"default\",\"pm_id\":0} true\n\
        {\"line\":\"a line\\n\",\"pm_id\":1}\n\
        [\"told a line\\n\",{\"name\":\"in\",\"namespace\":\"default\",\"pm_id\":1,\"rev\":null}]\n\
        no app, id, namespace or pattern matches \"7\": rpm ls shows what there is\n\
        ID, DATA or TOPIC field is missing\n\
        [{\"sum\":3}]\n\
        true 1\n\
        Error when sending signal (signal unknown)\n";
    script(&home, text).stdout(want).success();
}

#[test]
fn the_bus_tells_what_happens() {
    let home = home();
    home.copy("throws.js");
    let text = "
        await listen();
        const done = (event) => until('process:event', (one) => one.event === event);
        await call('start', { script: 'messages.js', name: 'web', instances: 1 });
        await done('start');
        await call('restart', 'web');
        await done('restart');
        await call('reload', 'web');
        await done('reload');
        await call('stop', 'web');
        await done('stop');
        await call('delete', 'web');
        await done('delete');
        console.log(said['process:event'].map((one) =>
            `${one.event} ${one.manually} ${one.process.name} ${one.process.pm_id}`).join('\\n'));
        const [start] = said['process:event'];
        console.log(start.process.env, start.process.pm_exec_path.endsWith('messages.js'));
        const log = await until('log:out', () => true);
        console.log(JSON.stringify([log.data, log.process]), typeof log.at);
        console.log(JSON.stringify((await until('greeting', () => true)).data));
        const often = { max_restarts: 2, min_uptime: 60000 };
        await call('start', { script: 'throws.js', name: 'bad', ...often });
        await done('restart overlimit');
        await until('log:err', (one) => one.data.includes('Error'));
        console.log(said['process:event'].filter((one) => one.process.name === 'bad')
            .map((one) => one.event).join(' '));";
    let want = "online false web 0\nstart true web 0\n\
        exit false web 0\nonline false web 0\nrestart true web 0\n\
        online false web 0\nexit false web 0\nreload true web 0\n\
        exit false web 0\nstop true web 0\ndelete true web 0\n\
        undefined true\n\
        [\"listening\\n\",{\"name\":\"web\",\"namespace\":\"default\",\"pm_id\":0,\
        \"rev\":null}] number\n\
        {\"hello\":\"manager\"}\nexit exit restart overlimit\n";
    script(&home, text).stdout(want).success();
}

#[test]
fn settings_of_a_second_start_take_effect() {
    let home = home();
    let text = "
        const app = (more) => ({ script: 'messages.js', name: 'web', instances: 2, ...more });
        await call('start', app({ env: { COLOUR: 'red', KEPT: 'yes' } }));
        const seen = async () => (await call('describe', 'web')).map(({ pm2_env: one }) =>
            `${one.env.COLOUR} ${one.env.KEPT} ${one.kill_timeout} ${one.status}`).join(', ');
        console.log(await seen());
        await call('start', app({ env: { COLOUR: 'blue' }, kill_timeout: 3000 }));
        console.log(await seen());
        process.env.COLOUR = 'green';
        process.env.NEW = 'here';
        await call('restart', 'web', { updateEnv: true });
        console.log(await seen(), (await call('describe', 'web'))[0].pm2_env.env.NEW);";
    // What an app declares stays, as with `rpm restart --update-env`.
    let want = "red yes 1600 online, red yes 1600 online\n\
        blue yes 3000 online, blue yes 3000 online\n\
        blue yes 3000 online, blue yes 3000 online here\n";
    script(&home, text).stdout(want).success();
}

#[test]
fn the_command_of_npm_works_on_our_apps() {
    let home = home();
    let start = ["start", "messages.js", "--name", "web", "-i", "2"];
    home.rpm(start).env("PORT", port()).success();
    let list: Value = serde_json::from_str(&command(&home, &["jlist"]).success().stdout).unwrap();
    assert_eq!(list.as_array().map(Vec::len), Some(2));
    let table = command(&home, &["ls"]).success().stdout;
    assert!(table.contains("web") && !table.contains("out-of-date"), "{table}");
    command(&home, &["restart", "web"]).success();
    command(&home, &["start", "messages.js", "--name", "two", "--", "--word"]).success();
    assert_eq!(home.single("two").env("args"), &json!(["--word"]));
    command(&home, &["stop", "nobody"]).exits(1);
    let (daemon, apps) = (home.daemon(), home.pids("web"));
    command(&home, &["kill"]).success();
    assert!(daemon.ends_within(LIMIT), "the daemon lives");
    assert_eq!(apps.len(), 2);
    assert!(!home.path().join("rpc.sock").exists() && !home.path().join("pub.sock").exists());
}

#[test]
fn the_sockets_are_there_while_they_are_wanted() {
    let home = Home::new();
    home.rpm(["ping"]).success();
    let [calls, bus] = ["rpc.sock", "pub.sock"].map(|name| home.path().join(name));
    assert!(!calls.exists() && !bus.exists());
    home.rpm(["set", "pm2_socket", "true"]).success();
    for path in [&calls, &bus] {
        assert_eq!(fs::metadata(path).expect("a socket").permissions().mode() & 0o777, 0o600);
    }
    let mut client = UnixStream::connect(&calls).expect("rpc.sock");
    assert_eq!(call(&mut client, "ping", json!([{}])), json!({ "args": [{ "msg": "pong" }] }));
    home.rpm(["set", "pm2_socket", "false"]).success();
    assert!(!calls.exists() && !bus.exists());
    client.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(client.read(&mut [0; 8]).expect("hung up"), 0);
    // What another one listens on is his.
    let other = std::os::unix::net::UnixListener::bind(&calls).unwrap();
    home.rpm(["set", "pm2_socket", "true"]).refused(&["not in effect", "rpc.sock", "a PM2?"]);
    drop(other);
    home.rpm(["set", "pm2_socket", "true"]).success();
    home.rpm(["unset", "pm2_socket"]).success();
    assert!(!calls.exists() && !bus.exists());
}

#[test]
fn a_daemons_death_is_not_noticed() {
    let home = home();
    home.rpm(["start", "messages.js", "--name", "web"]).success();
    let pids = home.pids("web");
    let mut before = UnixStream::connect(home.path().join("rpc.sock")).expect("rpc.sock");
    assert_eq!(call(&mut before, "getVersion", json!([{}])), json!({ "args": ["7.0.4"] }));
    home.daemon().kill();
    // It waits for the next daemon; it does not start a PM2.
    let text = "console.log(brief(await call('list')));";
    script(&home, text).stdout("web 0 online 0\n").success();
    assert_eq!(home.pids("web"), pids);
    assert!(!home.path().join("pm2.log").exists());
}

/// One call of a client that is none of npm's.
fn call(client: &mut UnixStream, method: &str, arguments: Value) -> Value {
    let message = json!({ "type": "call", "method": method, "args": arguments });
    client.write_all(&frame(&[format!("j:{message}"), "s:id".into()])).expect("a call");
    answer(client)
}

fn frame(arguments: &[String]) -> Vec<u8> {
    let mut bytes = vec![0x10 | u8::try_from(arguments.len()).unwrap()];
    for text in arguments {
        bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The JSON of an answer of two arguments.
fn answer(client: &mut UnixStream) -> Value {
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let mut read = |length: usize| {
        let mut bytes = vec![0; length];
        client.read_exact(&mut bytes).expect("an answer");
        bytes
    };
    assert_eq!(read(1), [0x12]);
    let mut argument = || {
        let length = u32::from_be_bytes(read(4).try_into().unwrap());
        read(length as usize)
    };
    let (json, id) = (argument(), argument());
    assert_eq!(id, b"s:id");
    serde_json::from_slice(&json[2..]).expect("JSON")
}

#[test]
fn what_is_no_call_harms_nobody() {
    let home = home();
    let connect = || UnixStream::connect(home.path().join("rpc.sock")).expect("rpc.sock");
    let mut patient = connect();
    for noise in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x12\xff\xff\xff\xff", b"\x11\0\0\0\x02xx", b"\x10"]
    {
        let mut client = connect();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        client.write_all(noise).unwrap();
        assert_eq!(client.read(&mut [0; 8]).expect("hung up"), 0, "{noise:?}");
    }
    let table = [
        ("nothing", json!([]), "method \"nothing\" does not exist"),
        ("prepare", json!([7]), "a description is an object"),
        ("prepare", json!([{}]), "it has no pm_exec_path"),
        ("stopProcessId", json!(["x"]), "\"x\" id unknown"),
        ("restartProcessId", json!([]), "null id unknown"),
        ("deleteProcessId", json!([{ "id": -1 }]), "-1 id unknown"),
        ("sendLineToStdin", json!([{ "pm_id": 0 }]), "pm_id or line field missing"),
        ("msgProcess", json!([{ "msg": "x" }]), "method requires name or id field"),
        ("monitor", json!([0]), "rpm does not do this: PM2's paid service is not here"),
    ];
    for (method, arguments, want) in table {
        let answer = call(&mut patient, method, arguments);
        assert_eq!(answer["error"], want, "{method}");
    }
    patient.write_all(&frame(&[r#"j:{"type":"methods"}"#.into(), "s:id".into()])).unwrap();
    assert_eq!(answer(&mut patient)["methods"]["prepare"]["name"], "prepare");
    // Many calls at once are all answered.
    for _ in 0..100 {
        let ping = json!({ "type": "call", "method": "ping", "args": [{}] });
        patient.write_all(&frame(&[format!("j:{ping}"), "s:id".into()])).unwrap();
    }
    for _ in 0..100 {
        assert_eq!(answer(&mut patient)["args"][0]["msg"], "pong");
    }
    // The thirty-third client is hung up on, and the others are not.
    let mut clients: Vec<UnixStream> = (0..33).map(|_| connect()).collect();
    let mut last = clients.pop().unwrap();
    last.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(last.read(&mut [0; 8]).expect("hung up"), 0);
    assert_eq!(call(&mut patient, "ping", json!([{}]))["args"][0]["msg"], "pong");
    home.rpm(["ping"]).success();
}
