// Sends ten messages and consumes them.
package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const (
	count = 10
	topic = "hello-go"
)

func main() {
	if err := hello(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func hello() error {
	nameServer := os.Getenv("NAMESRV_ADDR")
	if nameServer == "" {
		nameServer = "127.0.0.1:9876"
	}

	sender, err := rocketmq.NewProducer(
		producer.WithNameServer([]string{nameServer}), producer.WithGroupName("hello-go-producer"), producer.WithRetry(2))
	if err != nil {
		return err
	}
	if err := sender.Start(); err != nil {
		return err
	}
	defer sender.Shutdown()
	// The first message of a topic makes it.
	for number := 0; number < count; number++ {
		message := primitive.NewMessage(topic, []byte(fmt.Sprintf("hello %d", number))).WithTag("greeting")
		result, err := sender.SendSync(context.Background(), message)
		if err != nil {
			return err
		}
		fmt.Printf("sent %d to queue %d\n", number, result.MessageQueue.QueueId)
	}

	var guard sync.Mutex
	received := map[string]bool{}
	receiver, err := rocketmq.NewPushConsumer(
		consumer.WithNameServer([]string{nameServer}), consumer.WithGroupName("hello-go-consumer"),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		return err
	}
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: "greeting"}
	err = receiver.Subscribe(topic, selector, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		guard.Lock()
		defer guard.Unlock()
		for _, message := range messages {
			received[string(message.Body)] = true
		}
		return consumer.ConsumeSuccess, nil
	})
	if err != nil {
		return err
	}
	if err := receiver.Start(); err != nil {
		return err
	}
	defer receiver.Shutdown()

	for waited := 0; waited < 600; waited++ {
		guard.Lock()
		got := len(received)
		guard.Unlock()
		if got == count {
			fmt.Printf("received %d\n", got)
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("only %d of %d messages came", len(received), count)
}
