package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const (
	patience = 90 * time.Second
	pollTime = 50 * time.Millisecond
	// Wide, because the machine that all trials share may be busy. The client gives up after 3 s as it comes.
	sendTimeout = 10 * time.Second
)

// Where the servers are.
type place struct{ nameServers, broker, cluster, brokerName string }

// One feature being tried: its own topics and groups, and the clients that it has started.
type trial struct {
	place
	name    string
	notes   []string
	closing sync.Mutex // guards closers
	closers []func()
}

var instances atomic.Int64

func newTrial(where place, name string) *trial {
	return &trial{place: where, name: name}
}

// A name that no other trial and no other client has.
func (t *trial) own(suffix string) string {
	return strings.TrimSuffix(t.name+"-go-"+suffix, "-")
}

func (t *trial) group() string { return t.own("group") }

func (t *trial) note(format string, values ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, values...))
}

func (t *trial) onClose(closer func()) {
	t.closing.Lock()
	defer t.closing.Unlock()
	t.closers = append(t.closers, closer)
}

func (t *trial) close() {
	t.closing.Lock()
	defer t.closing.Unlock()
	for i := len(t.closers) - 1; i >= 0; i-- {
		t.closers[i]()
	}
}

func (t *trial) servers() []string { return strings.Split(t.nameServers, ";") }

func (t *trial) instance() string {
	return fmt.Sprintf("%s-%d-%d", t.own(""), os.Getpid(), instances.Add(1))
}

// Makes a topic of the trial's own.
func (t *trial) topic(suffix string, queues int) (string, error) {
	administrator, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver(t.servers())))
	if err != nil {
		return "", err
	}
	defer administrator.Close()
	name := t.own(suffix)
	return name, administrator.CreateTopic(context.Background(), admin.WithTopicCreate(name), admin.WithBrokerAddrCreate(t.broker),
		admin.WithReadQueueNums(queues), admin.WithWriteQueueNums(queues))
}

// Takes the queue that a message names, else all in turn.
type namedQueue struct{ otherwise producer.QueueSelector }

func (s namedQueue) Select(message *primitive.Message, queues []*primitive.MessageQueue, last string) *primitive.MessageQueue {
	if message.Queue != nil {
		for _, queue := range queues {
			if queue.QueueId == message.Queue.QueueId {
				return queue
			}
		}
	}
	return s.otherwise.Select(message, queues, last)
}

func (t *trial) producer(options ...producer.Option) (rocketmq.Producer, error) {
	sender, err := rocketmq.NewProducer(append([]producer.Option{
		producer.WithNameServer(t.servers()), producer.WithGroupName(t.own("producer")), producer.WithInstanceName(t.instance()),
		producer.WithRetry(2), producer.WithSendMsgTimeout(sendTimeout),
		producer.WithQueueSelector(namedQueue{producer.NewRoundRobinQueueSelector()}),
	}, options...)...)
	if err != nil {
		return nil, err
	}
	if err := sender.Start(); err != nil {
		return nil, err
	}
	t.onClose(func() { _ = sender.Shutdown() })
	return sender, nil
}

// Not started yet. It begins with the first message.
func (t *trial) consumer(group string, options ...consumer.Option) (rocketmq.PushConsumer, error) {
	return rocketmq.NewPushConsumer(append([]consumer.Option{
		consumer.WithNameServer(t.servers()), consumer.WithGroupName(group), consumer.WithInstance(t.instance()),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, options...)...)
}

func (t *trial) start(receiver rocketmq.PushConsumer) error {
	if err := receiver.Start(); err != nil {
		return err
	}
	t.onClose(func() { _ = receiver.Shutdown() })
	return nil
}

func byTag(expression string) consumer.MessageSelector {
	return consumer.MessageSelector{Type: consumer.TAG, Expression: expression}
}

// A started consumer's inbox.
func (t *trial) consume(group, topic string, selector consumer.MessageSelector, options ...consumer.Option) (*inbox, rocketmq.PushConsumer, error) {
	receiver, err := t.consumer(group, options...)
	if err != nil {
		return nil, nil, err
	}
	box := newInbox()
	if err := receiver.Subscribe(topic, selector, box.receive); err != nil {
		return nil, nil, err
	}
	return box, receiver, t.start(receiver)
}

func (t *trial) restartBroker() {
	resumed := make(chan struct{})
	paused.Store(t.name, resumed)
	say("pause " + t.name)
	<-resumed
}

func (t *trial) crashes() bool { return strings.HasSuffix(t.name, "-crash") }

func message(topic, body string) *primitive.Message {
	return primitive.NewMessage(topic, []byte(body))
}

func inQueue(message *primitive.Message, id int) *primitive.Message {
	message.Queue = &primitive.MessageQueue{Topic: message.Topic, QueueId: id}
	return message
}

func send(sender rocketmq.Producer, messages ...*primitive.Message) (*primitive.SendResult, error) {
	result, err := sender.SendSync(context.Background(), messages...)
	if err == nil && result.Status != primitive.SendOK {
		err = fmt.Errorf("status of %v", result)
	}
	return result, err
}

// Sends a message for each number, and returns the bodies.
func sendNumbered(sender rocketmq.Producer, topic, prefix string, count int) ([]string, error) {
	var bodies []string
	for number := 0; number < count; number++ {
		body := fmt.Sprintf("%s%d", prefix, number)
		if _, err := send(sender, message(topic, body)); err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

// What a consumer was given, in the order of arrival.
type inbox struct {
	sync.Mutex // guards messages
	messages   []*primitive.MessageExt
}

func newInbox() *inbox { return &inbox{} }

func (b *inbox) add(messages ...*primitive.MessageExt) {
	b.Lock()
	defer b.Unlock()
	b.messages = append(b.messages, messages...)
}

func (b *inbox) receive(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
	b.add(messages...)
	return consumer.ConsumeSuccess, nil
}

func (b *inbox) all() []*primitive.MessageExt {
	b.Lock()
	defer b.Unlock()
	return append([]*primitive.MessageExt{}, b.messages...)
}

func (b *inbox) bodies() []string {
	var bodies []string
	for _, message := range b.all() {
		bodies = append(bodies, string(message.Body))
	}
	return bodies
}

// All messages, once there are this many.
func (b *inbox) await(count int) ([]*primitive.MessageExt, error) {
	err := eventually(fmt.Sprintf("%d messages", count), func() bool { return len(b.all()) >= count })
	if err != nil {
		return nil, fmt.Errorf("%w; there are %d: %v", err, len(b.all()), shortened(b.bodies()))
	}
	return b.all(), nil
}

func (b *inbox) awaitBody(body string) error {
	return eventually(body, func() bool { return contains(b.bodies(), body) })
}

// Just these have come, each once. The last of each queue should be among them.
func (b *inbox) exactly(bodies []string) error {
	if _, err := b.await(len(bodies)); err != nil {
		return err
	}
	return sameElements("what is consumed", bodies, b.bodies())
}

func contains(all []string, one string) bool {
	for _, each := range all {
		if each == one {
			return true
		}
	}
	return false
}

func different(all []string) []string {
	seen := map[string]bool{}
	var kept []string
	for _, each := range all {
		if !seen[each] {
			seen[each] = true
			kept = append(kept, each)
		}
	}
	return kept
}

func eventually(what string, condition func() bool) error {
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(pollTime) {
		if time.Now().After(deadline) {
			return errors.New("not in time: " + what)
		}
	}
	return nil
}

func equal(what string, expected, actual any) error {
	if fmt.Sprint(expected) != fmt.Sprint(actual) {
		return fmt.Errorf("%s: expected %v, is %v", what, expected, actual)
	}
	return nil
}

// The same elements as often, in whatever order.
func sameElements(what string, expected, actual []string) error {
	counts := map[string]int{}
	for _, each := range expected {
		counts[each]++
	}
	for _, each := range actual {
		counts[each]--
	}
	var missing, surplus []string
	for each, count := range counts {
		if count > 0 {
			missing = append(missing, each)
		} else if count < 0 {
			surplus = append(surplus, each)
		}
	}
	if len(missing)+len(surplus) > 0 {
		sort.Strings(missing)
		sort.Strings(surplus)
		return fmt.Errorf("%s: of %d are missing %v, too many are %v", what, len(expected), shortened(missing), shortened(surplus))
	}
	return nil
}

func shortened(all []string) []string { return all[:min(10, len(all))] }
