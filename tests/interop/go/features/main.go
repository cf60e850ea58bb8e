// The features that the Go client proves.
//
//	features NAME-SERVERS BROKER CLUSTER BROKER-NAME
//
// Told on stdin which trials to run, it answers on stdout: harness/trials.py has the words of both.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

type feature func(*trial) error

// All features, by name.
func features() map[string]feature {
	all := map[string]feature{}
	for _, some := range []map[string]feature{
		sending, filtering, pulling, groups, rebalances, retries, delays, transactions, requests, restarts,
	} {
		for name, prove := range some {
			all[name] = prove
		}
	}
	return all
}

var (
	speaking sync.Mutex
	paused   sync.Map // name → channel that is closed when the broker is back
)

func say(words string) {
	speaking.Lock()
	defer speaking.Unlock()
	fmt.Printf("\n@ %s\n", strings.Join(strings.Fields(words), " "))
}

func main() {
	rlog.SetLogLevel("error")
	if os.Args[1] == "victim" {
		beVictim(os.Args[2:])
	}
	where := place{os.Args[1], os.Args[2], os.Args[3], os.Args[4]}
	all := features()
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		words := strings.Split(commands.Text(), "\t")
		if words[0] == "resume" {
			if resumed, known := paused.LoadAndDelete(words[1]); known {
				close(resumed.(chan struct{}))
			}
			continue
		}
		go run(newTrial(where, words[2]), all[words[1]])
	}
}

func run(t *trial, prove feature) {
	defer t.close()
	defer func() {
		if problem := recover(); problem != nil {
			say(fmt.Sprintf("failed %s panic: %v", t.name, problem))
		}
	}()
	if prove == nil {
		say("failed " + t.name + " no such feature in this driver")
	} else if err := prove(t); err != nil {
		say(fmt.Sprintf("failed %s %v", t.name, err))
	} else {
		say("ok " + t.name + " " + strings.Join(t.notes, ", "))
	}
}
