// The scenarios of the Go client.
//
//	client SCENARIO NAME-SERVERS TOPIC GROUP COUNT
//
// Its last line of output begins with "ok" when all that was sent came back; anything else comes with exit code 1.
// While the scenario steady runs it prints "acked N", and it ends its sending when stdin ends.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const (
	consumedWithin = 90 * time.Second
	sendPause      = 50 * time.Millisecond
)

type client struct {
	nameServers  []string
	topic, group string
	ledger       *ledger
}

func main() {
	args := os.Args[1:]
	count, err := strconv.Atoi(args[4])
	if err == nil {
		c := &client{strings.Split(args[1], ";"), args[2], args[3], newLedger()}
		switch args[0] {
		case "produce-consume":
			err = c.produceThenConsume(count)
		case "steady":
			err = c.produceAndConsumeUntilToldToStop()
		default:
			err = fmt.Errorf("no such scenario: %s", args[0])
		}
		if err == nil {
			fmt.Printf("ok %s\n", c.ledger.summary())
			return
		}
	}
	fmt.Printf("failed: %v\n", err)
	os.Exit(1)
}

func (c *client) produceThenConsume(count int) error {
	sender, err := c.startProducer()
	if err != nil {
		return err
	}
	for number := 0; number < count; number++ {
		if err := c.send(sender, number); err != nil {
			return err
		}
	}
	receiver, err := c.startConsumer()
	if err != nil {
		return err
	}
	return c.finish(sender, receiver)
}

// Failed sends are allowed here, because servers are killed meanwhile. What was acknowledged must be consumed.
func (c *client) produceAndConsumeUntilToldToStop() error {
	sender, err := c.startProducer()
	if err != nil {
		return err
	}
	var told atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		told.Store(true)
	}()
	var receiver rocketmq.PushConsumer
	for number := 0; !told.Load(); number++ {
		if err := c.send(sender, number); err != nil {
			fmt.Fprintf(os.Stderr, "send %d: %v\n", number, err)
		}
		if receiver == nil && c.ledger.acked() > 0 {
			if receiver, err = c.startConsumer(); err != nil {
				return err
			}
		}
		if number%10 == 0 {
			fmt.Printf("acked %d consumed %d\n", c.ledger.acked(), c.ledger.received())
		}
		time.Sleep(sendPause)
	}
	if receiver == nil {
		return fmt.Errorf("no send was ever acknowledged")
	}
	return c.finish(sender, receiver)
}

func (c *client) startProducer() (rocketmq.Producer, error) {
	sender, err := rocketmq.NewProducer(
		producer.WithNameServer(c.nameServers),
		producer.WithGroupName(c.group+"-producer"),
		producer.WithRetry(2),
	)
	if err == nil {
		err = sender.Start()
	}
	return sender, err
}

func (c *client) startConsumer() (rocketmq.PushConsumer, error) {
	receiver, err := rocketmq.NewPushConsumer(
		consumer.WithNameServer(c.nameServers),
		consumer.WithGroupName(c.group),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	)
	if err == nil {
		err = receiver.Subscribe(c.topic, consumer.MessageSelector{}, c.receive)
	}
	if err == nil {
		err = receiver.Start()
	}
	return receiver, err
}

func (c *client) send(sender rocketmq.Producer, number int) error {
	sent := newEntry(c.topic, number)
	c.ledger.attempt(sent)
	message := primitive.NewMessage(c.topic, []byte(sent.body)).WithKeys([]string{sent.keys}).WithTag(sent.tags)
	result, err := sender.SendSync(context.Background(), message)
	if err != nil {
		return err
	}
	if result.Status != primitive.SendOK {
		return fmt.Errorf("send %d ended with %v", number, result)
	}
	c.ledger.ack(sent, place{result.MessageQueue.QueueId, result.QueueOffset})
	return nil
}

func (c *client) receive(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
	for _, message := range messages {
		keys := strings.TrimSpace(message.GetKeys())
		c.ledger.receive(entry{keys, message.GetTags(), string(message.Body)}, place{message.Queue.QueueId, message.QueueOffset})
	}
	return consumer.ConsumeSuccess, nil
}

func (c *client) finish(sender rocketmq.Producer, receiver rocketmq.PushConsumer) error {
	complete := c.ledger.awaitAllReceived(consumedWithin)
	if err := receiver.Shutdown(); err != nil {
		return err
	}
	if err := sender.Shutdown(); err != nil {
		return err
	}
	if problems := c.ledger.problems(); !complete || len(problems) > 0 {
		return fmt.Errorf("%d problems: %v", len(problems), problems[:min(10, len(problems))])
	}
	return nil
}
