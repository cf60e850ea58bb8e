//! The three files with which Apache's DLedger comes, as they are: with their ports and folders, which only a machine of one's own
//! has free.

use std::fs::File;
use std::process::Command;

/// What stands in `conf/dledger` of Apache's distribution but for the comments, and what is another in each of the three.
const APACHES: &str = "
brokerClusterName = RaftCluster
brokerName=RaftNode00
listenPort=309{n+1}1
namesrvAddr=127.0.0.1:9876
storePathRootDir=/tmp/rmqstore/node0{n}
storePathCommitLog=/tmp/rmqstore/node0{n}/commitlog
enableDLegerCommitLog=true
dLegerGroup=RaftNode00
dLegerPeers=n0-127.0.0.1:40911;n1-127.0.0.1:40912;n2-127.0.0.1:40913
## must be unique
dLegerSelfId=n{n}
sendMessageThreadPoolNums=16
";

/// Starts a name server and a broker for each file, and uses them. All of it ends with the shell, which is the first process there.
const SCRIPT: &str = r#"
set -e
ip link set lo up
mount -t tmpfs none /tmp
cd /tmp
cat > ferrymq
chmod +x ferrymq
./ferrymq namesrv > namesrv.log 2>&1 &
number=0
for file; do
    printf %s "$file" > broker-n$number.conf
    ./ferrymq broker -c broker-n$number.conf > n$number.log 2>&1 &
    number=$((number + 1))
done
./ferrymq cluster status --exit-when-healthy --min-nodes 3 || { cat *.log; exit 1; }
./ferrymq topic create orders
until ./ferrymq topic route orders > /dev/null 2>&1; do sleep 0.1; done
./ferrymq topic produce orders hello
./ferrymq topic consume orders
./ferrymq raft hash-check
ls -d rmqstore/node0?/commitlog
"#;

fn private(arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private", "--"]);
    command.args(arguments);
    command
}

#[test]
fn apaches_files_start_a_group_unchanged() {
    if !private(&["ip", "link", "set", "lo", "up"]).output().is_ok_and(|done| done.status.success()) {
        eprintln!("nobody may have a network of its own here: nothing to see");
        return;
    }
    let file = |n: u8| APACHES.replace("{n+1}", &(n + 1).to_string()).replace("{n}", &n.to_string());
    let mut command = private(&["sh", "-c", SCRIPT, "sh", &file(0), &file(1), &file(2)]);
    let output = command.stdin(File::open(env!("CARGO_BIN_EXE_ferrymq")).unwrap()).output().unwrap();
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{complaint}");
    for line in ["hello", "rmqstore/node00/commitlog", "rmqstore/node02/commitlog"] {
        assert!(said.lines().any(|said| said == line), "{said}");
    }
    for address in ["127.0.0.1:30911", "127.0.0.1:30921", "127.0.0.1:30931"] {
        assert!(said.contains(address), "{said}");
    }
    assert_eq!(said.matches(" follower ").count(), 2, "{said}");
}
