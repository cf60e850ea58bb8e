package main

import (
	"fmt"
	"sync"
	"time"
)

type entry struct{ keys, tags, body string }

type place struct {
	queueID     int
	queueOffset int64
}

// ledger: what was sent, what was acknowledged where, and what was consumed from where; and whether the three agree:
// all that was acknowledged was consumed from the queue and offset of its acknowledgement, in each queue offsets follow
// the order of sending, nothing was consumed that was not sent, and each message came back with its own body, keys and tags.
type ledger struct {
	sync.Mutex   // guards all fields
	attempted    map[string]entry
	acknowledged map[string]place
	consumed     map[string]map[place]bool
	newestOffset map[int]int64
	missing      map[string]bool
	wrong        []string
	repeated     int
	changed      chan struct{}
}

func newLedger() *ledger {
	return &ledger{
		attempted:    map[string]entry{},
		acknowledged: map[string]place{},
		consumed:     map[string]map[place]bool{},
		newestOffset: map[int]int64{},
		missing:      map[string]bool{},
		changed:      make(chan struct{}, 1),
	}
}

// newEntry is message `number` of a topic. Its text leaves ASCII, so that character sets matter.
func newEntry(topic string, number int) entry {
	body := fmt.Sprintf("message %d of %s: žluťoučký kůň, 消息", number, topic)
	return entry{fmt.Sprintf("key-%d", number), fmt.Sprintf("tag-%d", number%3), body}
}

func (l *ledger) attempt(e entry) {
	l.Lock()
	defer l.Unlock()
	l.attempted[e.keys] = e
}

func (l *ledger) ack(e entry, at place) {
	l.Lock()
	defer l.Unlock()
	l.acknowledged[e.keys] = at
	if before, known := l.newestOffset[at.queueID]; known && before >= at.queueOffset {
		l.wrong = append(l.wrong, fmt.Sprintf("%s was acknowledged at %v, after offset %d", e.keys, at, before))
	}
	l.newestOffset[at.queueID] = at.queueOffset
	if l.consumed[e.keys] == nil {
		l.missing[e.keys] = true
	}
}

func (l *ledger) receive(e entry, from place) {
	l.Lock()
	defer l.Unlock()
	if sent := l.attempted[e.keys]; sent != e {
		l.wrong = append(l.wrong, fmt.Sprintf("consumed %v, sent %v", e, sent))
		return
	}
	if l.consumed[e.keys] == nil {
		l.consumed[e.keys] = map[place]bool{}
	} else {
		l.repeated++
	}
	l.consumed[e.keys][from] = true
	delete(l.missing, e.keys)
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *ledger) awaitAllReceived(patience time.Duration) bool {
	deadline := time.After(patience)
	for {
		l.Lock()
		missing := len(l.missing)
		l.Unlock()
		if missing == 0 {
			return true
		}
		select {
		case <-l.changed:
		case <-deadline:
			return false
		}
	}
}

func (l *ledger) problems() []string {
	l.Lock()
	defer l.Unlock()
	problems := append([]string{}, l.wrong...)
	for keys := range l.missing {
		problems = append(problems, fmt.Sprintf("%s was acknowledged at %v and never consumed", keys, l.acknowledged[keys]))
	}
	for keys, at := range l.acknowledged {
		if from := l.consumed[keys]; from != nil && !from[at] {
			problems = append(problems, fmt.Sprintf("%s was acknowledged at %v but consumed from %v", keys, at, from))
		}
	}
	return problems
}

func (l *ledger) acked() int {
	l.Lock()
	defer l.Unlock()
	return len(l.acknowledged)
}

func (l *ledger) received() int {
	l.Lock()
	defer l.Unlock()
	return len(l.consumed)
}

func (l *ledger) summary() string {
	l.Lock()
	defer l.Unlock()
	return fmt.Sprintf("acked=%d received=%d repeated=%d", len(l.acknowledged), len(l.consumed), l.repeated)
}
