use super::*;
#[test]
#[ignore]
fn latency() {
    let mut python = Python::new("def run(**x): return {'x': 1}");
    let inputs = Data::new().with("value", 1).with("name", "abc");
    let start = std::time::Instant::now();
    python.call("run", &inputs).unwrap();
    println!("cold {:?}", start.elapsed());
    for _ in 0..5 {
        let start = std::time::Instant::now();
        for _ in 0..20_000 { python.call("run", &inputs).unwrap(); }
        println!("hot {:?}", start.elapsed() / 20_000);
    }
}
