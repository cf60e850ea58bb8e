package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// Members come, leave and die while messages flow.
var rebalances = map[string]feature{
	"rebalance-join-and-leave": joinAndLeave,
	"rebalance-join-and-die":   joinAndDie,
}

const victimMark = "@@ "

// A consumer in a process of its own, to be killed. It prints what it consumes.
type victim struct {
	process    *exec.Cmd
	sync.Mutex // guards bodies
	bodies     []string
	ended      chan struct{}
}

func (t *trial) victim(topic string) (*victim, error) {
	process := exec.Command(os.Args[0], "victim", t.nameServers, topic, t.group())
	output, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, err
	}
	v := &victim{process: process, ended: make(chan struct{})}
	go func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			if body, isMessage := strings.CutPrefix(lines.Text(), victimMark); isMessage {
				v.Lock()
				v.bodies = append(v.bodies, body)
				v.Unlock()
			}
		}
		close(v.ended)
	}()
	t.onClose(v.kill)
	return v, nil
}

func (v *victim) consumed() []string {
	v.Lock()
	defer v.Unlock()
	return append([]string{}, v.bodies...)
}

func (v *victim) kill() {
	_ = v.process.Process.Kill()
	<-v.ended
	_ = v.process.Wait()
}

// What the victim's process does: victim NAME-SERVERS TOPIC GROUP.
func beVictim(args []string) {
	t := newTrial(place{nameServers: args[0]}, "victim")
	receiver, err := t.consumer(args[2])
	if err == nil {
		err = receiver.Subscribe(args[1], byTag("*"), func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, got := range messages {
				fmt.Printf("%s%s\n", victimMark, got.Body)
			}
			return consumer.ConsumeSuccess, nil
		})
	}
	if err == nil {
		err = receiver.Start()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	time.Sleep(time.Hour)
}

// Sends until the condition holds, four messages at a time.
func sendUntil(what string, sender rocketmq.Producer, topic string, sent *int, condition func() bool) error {
	var problem error
	err := eventually(what, func() bool {
		for end := *sent + 4; *sent < end && problem == nil; *sent++ {
			_, problem = send(sender, message(topic, fmt.Sprint(*sent)))
		}
		return problem != nil || condition()
	})
	if problem != nil {
		return problem
	}
	return err
}

func joinAndLeave(t *trial) error {
	topic, err := t.topic("", 4)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	stays, _, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	sent := 0
	if err := sendUntil("the first consumes", sender, topic, &sent, func() bool { return len(stays.all()) > 50 }); err != nil {
		return err
	}
	leaves, receiver, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	if err := sendUntil("the second consumes", sender, topic, &sent, func() bool { return len(leaves.all()) > 20 }); err != nil {
		return err
	}
	if err := receiver.Shutdown(); err != nil {
		return err
	}
	at := sent
	if err := sendUntil("more is sent", sender, topic, &sent, func() bool { return sent >= at+100 }); err != nil {
		return err
	}
	return t.allOf(sent, func() []string { return append(stays.bodies(), leaves.bodies()...) })
}

func (t *trial) allOf(sent int, consumed func() []string) error {
	err := eventually("all is consumed", func() bool { return len(different(consumed())) >= sent })
	t.note("%d sent, %d repeated", sent, len(consumed())-len(different(consumed())))
	if err != nil {
		return fmt.Errorf("%w: %d of %d", err, len(different(consumed())), sent)
	}
	return nil
}

func joinAndDie(t *trial) error {
	topic, err := t.topic("", 4)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	stays, _, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	sent := 0
	if err := sendUntil("the first consumes", sender, topic, &sent, func() bool { return len(stays.all()) > 50 }); err != nil {
		return err
	}
	dies, err := t.victim(topic)
	if err != nil {
		return err
	}
	if err := sendUntil("the second consumes", sender, topic, &sent, func() bool { return len(dies.consumed()) > 20 }); err != nil {
		return err
	}
	dies.kill()
	at := sent
	if err := sendUntil("more is sent", sender, topic, &sent, func() bool { return sent >= at+100 }); err != nil {
		return err
	}
	return t.allOf(sent, func() []string { return append(stays.bodies(), dies.consumed()...) })
}
