//! Ecosystem files in every format but TOML: what they become, who evaluates JavaScript, and how
//! their mistakes read.

use crate::harness::{Home, node_modules};

/// What each file of this test says, in its own way.
const NAMES: &str = "formats";

fn starts(file: &str, text: &str) {
    let home = Home::new();
    home.write(file, text);
    let output = home.rpm(["start", file]).env("SECONDS", "86500").success();
    assert!(output.stdout.contains(NAMES), "{file}: {output:?}");
    let app = home.single(NAMES);
    let said = (app.status(), app.env("kill_timeout"), app.env("args").to_string());
    assert_eq!(said, ("online", &5000.into(), "[\"86500\"]".to_owned()), "{file}");
}

#[test]
fn json_with_comments_json5_and_yaml() {
    let json = "// apps\n{apps: [{name: 'formats', script: 'sleep', args: ['86500'], \
                killTimeout: 5000,},],}";
    let yaml = "base: &base\n  kill_timeout: 5s\napps:\n  - <<: *base\n    name: formats\n    \
                script: sleep\n    args: 86500\n";
    starts("process.json", json);
    starts("e.json5", json);
    starts("e.yaml", yaml);
    starts("e.yml", yaml);
}

#[test]
fn javascript_of_every_kind_sees_the_environment_of_the_caller() {
    let app = "{name: 'formats', script: 'sleep', args: [process.env.SECONDS], kill_timeout: 5e3}";
    for (file, text) in [
        ("ecosystem.config.js", format!("console.log('talk'); module.exports = {{apps: [{app}]}}")),
        ("a.config.cjs", format!("require('node:os'); module.exports = Promise.resolve([{app}])")),
        ("b.config.mjs", format!("export const apps = [{app}]")),
        ("c.config.mjs", format!("export default async () => ({{apps: [{app}]}})")),
        ("d.config.js", format!("module.exports = {app}; setInterval(() => {{}}, 1000)")),
    ] {
        starts(file, &text);
    }
}

#[test]
fn typescript_is_evaluated_by_tsx_or_bun() {
    let text = "const apps: object[] = [{name: 'formats', script: 'sleep', kill_timeout: 5000,\n\
                args: [process.env.SECONDS as string]}];\nexport default { apps };\n";
    let home = Home::new();
    std::os::unix::fs::symlink(node_modules(), home.work().join("node_modules")).unwrap();
    home.write("e.config.ts", text);
    home.rpm(["start", "e.config.ts"]).env("SECONDS", "86500").success();
    assert_eq!(home.single(NAMES).env("args")[0], "86500");
}

#[test]
fn what_javascript_prints_is_not_taken_for_apps() {
    let home = Home::new();
    home.write(
        "e.config.js",
        "console.log('{\"apps\": 1}'); module.exports = [{name: 'formats', script: 'sleep 86500'}]",
    );
    let output = home.rpm(["start", "e.config.js"]).success();
    assert!(output.stderr.contains("{\"apps\": 1}"), "{output:?}");
    assert!(!output.stdout.contains("{\"apps\""), "{output:?}");
}

#[test]
fn mistakes_in_javascript_name_file_and_line() {
    for (file, text, words) in [
        ("a.config.js", "module.exports = {\n  apps: nope }", ["a.config.js:2", "nope is not"]),
        ("b.config.js", "module.exports = {\n\n", ["b.config.js:", "SyntaxError"]),
        ("c.config.mjs", "export default {\n  a: [ }\n", ["c.config.mjs:2", "SyntaxError"]),
        ("d.config.js", "module.exports = () => { throw new TypeError('boo') }", [":1", "boo"]),
        ("e.config.js", "throw 5", ["e.config.js", "it threw 5"]),
        ("f.config.js", "process.exit(0)", ["f.config.js", "before it exported"]),
        ("g.config.mjs", "export const x = 1", ["g.config.mjs", "no apps"]),
        ("h.config.js", "module.exports = undefined", ["h.config.js", "exports nothing"]),
        ("i.config.js", "export default []", ["i.config.js", ""]),
        ("j.config.js", "require('./none')", ["j.config.js:1", "Cannot find module"]),
    ] {
        let home = Home::new();
        home.write(file, text);
        home.rpm(["start", file]).refused(&words);
    }
}

#[test]
fn javascript_that_never_ends_is_ended() {
    let home = Home::new();
    home.write("e.config.mjs", "setInterval(() => {}, 1000); await new Promise(() => {})");
    let words = ["e.config.mjs", "no end after 1s", "RPM_CONFIG_TIMEOUT"];
    home.rpm(["start", "e.config.mjs"]).env("RPM_CONFIG_TIMEOUT", 1).refused(&words);
}

#[test]
fn without_a_runtime_javascript_says_what_is_missing() {
    let home = Home::new();
    home.write("e.config.js", "module.exports = []");
    let words = ["node or bun is needed", "ecosystem.toml"];
    home.rpm(["start", "e.config.js"]).env("PATH", "/nowhere").refused(&words);
}

#[test]
fn standard_input_in_each_format() {
    for text in [
        "[[apps]]\nname = 'formats'\nscript = 'sleep 86500'\n",
        "{apps: [{name: 'formats', script: 'sleep 86500'}]}",
        "[{\"name\": \"formats\", \"script\": \"sleep 86500\"}]",
        "apps:\n  - name: formats\n    script: sleep 86500\n",
    ] {
        let home = Home::new();
        home.rpm(["start", "-"]).stdin(text).success();
        assert_eq!(home.single(NAMES).status(), "online", "{text}");
    }
}

#[test]
fn without_an_argument_pm2s_file_comes_first() {
    let home = Home::new();
    home.write("ecosystem.json", "[{name: 'other', script: 'sleep 86500'}]");
    home.write("ecosystem.config.cjs", "module.exports = [{name: 'x', script: 'sleep 86500'}]");
    home.write("ecosystem.config.js", "module.exports = [{name: 'js', script: 'sleep 86500'}]");
    home.rpm(["start"]).success();
    assert_eq!(home.jlist().iter().map(|app| app.name().to_owned()).collect::<Vec<_>>(), ["js"]);
}

#[test]
fn unknown_keys_of_old_files_are_said_and_ignored() {
    let home = Home::new();
    home.write("old.json", "{apps: [{name: 'formats',\n instnaces: 4, script: 'sleep 86500'}]}");
    let output = home.rpm(["start", "old.json"]).success();
    let want = "old.json:2: app formats: unknown key `instnaces`, did you mean `instances`?; it is \
                ignored";
    assert!(output.stderr.contains(want), "{output:?}");
    assert_eq!(home.app(NAMES).len(), 1);
}

#[test]
fn init_writes_a_file_that_starts_and_never_over_one() {
    let home = Home::new();
    home.write("app.js", "setInterval(() => {}, 60000)");
    home.rpm(["init", "simple"]).success();
    home.rpm(["ecosystem"]).refused(&["ecosystem.toml is there already"]);
    home.rpm(["start"]).success();
    assert_eq!(home.single("app").status(), "online");
    std::fs::remove_file(home.work().join("ecosystem.toml")).unwrap();
    home.rpm(["ecosystem"]).success();
    home.rpm(["start"]).success();
    assert_eq!(home.app("app").len(), 1);
}
