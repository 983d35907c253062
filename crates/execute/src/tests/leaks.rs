//! The number of open files and child processes does not grow with the number of attempts.

use super::*;

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs in a process of its own, since other tests open files at the same time.
#[test]
fn no_file_stays_open_after_many_attempts_and_lost_interpreters() {
    let name = "tests::leaks::many_attempts_and_lost_interpreters";
    let test = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&test.stdout);
    assert!(test.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&test.stderr));
}

#[test]
#[ignore = "run by the test above"]
fn many_attempts_and_lost_interpreters() {
    let mut python = Python::new("import os\ndef run(): return {}\ndef dies(): os._exit(1)\ndef fails(): 1 / 0");
    let round = |python: &mut Python| {
        for _ in 0..40 {
            python.call("run", &Data::new()).unwrap();
            python.failure("fails");
        }
        for argv in [&["cat"][..], &["false"], &["no-such-program"], &["sh", "-c", "echo out; echo err >&2"]] {
            let mut task = TaskSpec::command(argv.iter().copied());
            if let TaskSpec::Command(task) = &mut task {
                task.stdin = Some("text".into());
            }
            python.runner.run(&task, &Data::new(), &Interrupter::new()).ok();
        }
        python.failure("dies");
        python.call("run", &Data::new()).unwrap();
        open_files()
    };
    let first = round(&mut python);
    for _ in 0..5 {
        assert_eq!(round(&mut python), first);
    }
    assert_eq!(children().split_whitespace().count(), 1, "the living interpreter alone");
    drop(python);
    assert_eq!(children(), "");
}
