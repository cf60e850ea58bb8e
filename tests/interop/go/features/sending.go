package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// Sending single messages and batches.
var sending = map[string]feature{
	"send-sync":                 sendSync,
	"send-async":                sendAsync,
	"send-oneway":               sendOneway,
	"send-properties":           sendProperties,
	"send-compressed":           sendCompressed,
	"send-chosen-queue":         sendChosenQueue,
	"batch-10000":               batches,
	"topic-auto-created":        autoCreated,
	"topic-auto-create-refused": autoCreateRefused,
}

func sendSync(t *trial) error {
	topic, err := t.topic("", 4)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	places := map[string]string{}
	for number := 0; number < 200; number++ {
		body := fmt.Sprintf("message %d žluťoučký kůň 消息", number)
		result, err := send(sender, message(topic, body).WithTag(fmt.Sprintf("tag-%d", number%3)).WithKeys([]string{fmt.Sprintf("key-%d", number)}))
		if err != nil {
			return err
		}
		if err := equal("region", "DefaultRegion", result.RegionID); err != nil {
			return err
		}
		places[body] = fmt.Sprintf("%d@%d key-%d tag-%d %s", result.MessageQueue.QueueId, result.QueueOffset, number, number%3, result.OffsetMsgID)
	}
	box, _, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	all, err := box.await(200)
	if err != nil {
		return err
	}
	for _, got := range all {
		place := fmt.Sprintf("%d@%d %s %s %s", got.Queue.QueueId, got.QueueOffset, strings.TrimSpace(got.GetKeys()), got.GetTags(), got.OffsetMsgId)
		if err := equal("place, key, tag, id of "+string(got.Body), places[string(got.Body)], place); err != nil {
			return err
		}
	}
	return equal("different messages", 200, len(different(box.bodies())))
}

// A new group is given just these.
func (t *trial) exactly(topic string, bodies []string) ([]*primitive.MessageExt, error) {
	box, _, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return nil, err
	}
	return box.all(), box.exactly(bodies)
}

func sendAsync(t *trial) error {
	topic, err := t.topic("", 4)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	var answered sync.WaitGroup
	problems := make(chan error, 300)
	var sent []string
	for number := 0; number < 300; number++ {
		body := fmt.Sprintf("async %d", number)
		sent = append(sent, body)
		answered.Add(1)
		err := sender.SendAsync(context.Background(), func(_ context.Context, result *primitive.SendResult, err error) {
			if err == nil && result.Status != primitive.SendOK {
				err = fmt.Errorf("%v", result)
			}
			if err != nil {
				problems <- err
			}
			answered.Done()
		}, message(topic, body))
		if err != nil {
			return err
		}
	}
	answered.Wait()
	if len(problems) > 0 {
		return <-problems
	}
	_, err = t.exactly(topic, sent)
	return err
}

func sendOneway(t *trial) error {
	topic, err := t.topic("", 4)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	var sent []string
	for number := 0; number < 100; number++ {
		sent = append(sent, fmt.Sprintf("oneway %d", number))
		if err := sender.SendOneWay(context.Background(), message(topic, sent[number])); err != nil {
			return err
		}
	}
	_, err = t.exactly(topic, sent)
	return err
}

func sendProperties(t *trial) error {
	topic, err := t.topic("", 1)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	sent := message(topic, "with properties").WithTag("tag").WithKeys([]string{"k1", "klíč"}).WithShardingKey("shard")
	sent.WithProperty("žluť", "消息 with = : ; and spaces")
	sent.WithProperty("long", strings.Repeat("x", 1000))
	sent.Flag = 0x1234
	result, err := send(sender, sent)
	if err != nil {
		return err
	}
	box, _, err := t.consume(t.group(), topic, byTag("tag"))
	if err != nil {
		return err
	}
	all, err := box.await(1)
	if err != nil {
		return err
	}
	got := all[0]
	return equal("flag, keys, sharding key, properties, cluster, unique key",
		[]string{"4660", "k1 klíč", "shard", "消息 with = : ; and spaces", strings.Repeat("x", 1000), t.cluster, result.MsgID},
		[]string{fmt.Sprint(got.Flag), strings.TrimSpace(got.GetKeys()), got.GetShardingKey(), got.GetProperty("žluť"), got.GetProperty("long"),
			got.GetProperty("CLUSTER"), got.GetProperty("UNIQ_KEY")})
}

func sendCompressed(t *trial) error {
	topic, err := t.topic("", 1)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	body := strings.Repeat("compress me well ", 6_000)
	if _, err := send(sender, message(topic, body)); err != nil {
		return err
	}
	box, _, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	all, err := box.await(1)
	if err != nil {
		return err
	}
	if err := equal("the body comes back", true, string(all[0].Body) == body); err != nil {
		return err
	}
	return equal("it is stored in less than a tenth", true, int(all[0].StoreSize) < len(body)/10)
}

func sendChosenQueue(t *trial) error {
	topic, err := t.topic("", 4)
	if err != nil {
		return err
	}
	sender, err := t.producer(producer.WithQueueSelector(producer.NewHashQueueSelector()))
	if err != nil {
		return err
	}
	queueOf := map[string]int{}
	for number := 0; number < 100; number++ {
		key := fmt.Sprint(number % 10)
		result, err := send(sender, message(topic, fmt.Sprintf("%s:%d", key, number)).WithShardingKey(key))
		if err != nil {
			return err
		}
		if before, known := queueOf[key]; known && before != result.MessageQueue.QueueId {
			return fmt.Errorf("messages of %s are in queues %d and %d", key, before, result.MessageQueue.QueueId)
		}
		queueOf[key] = result.MessageQueue.QueueId
	}
	box, _, err := t.consume(t.group(), topic, byTag("*"), consumer.WithConsumerOrder(true))
	if err != nil {
		return err
	}
	all, err := box.await(100)
	if err != nil {
		return err
	}
	newest := map[string]int{}
	for _, got := range all {
		var key string
		var number int
		if _, err := fmt.Sscanf(strings.Replace(string(got.Body), ":", " ", 1), "%s %d", &key, &number); err != nil {
			return err
		}
		if before, known := newest[key]; known && number <= before {
			return fmt.Errorf("%d comes after %d", number, before)
		}
		newest[key] = number
	}
	return equal("keys", 10, len(newest))
}

func batches(t *trial) error {
	topic, err := t.topic("", 4)
	if err != nil {
		return err
	}
	sender, err := t.producer()
	if err != nil {
		return err
	}
	var sent []string
	for batch := 0; batch < 10; batch++ {
		var messages []*primitive.Message
		for number := 0; number < 1_000; number++ {
			body := fmt.Sprintf("%d/%d", batch, number)
			sent = append(sent, body)
			messages = append(messages, message(topic, body).WithTag("tag"))
		}
		if _, err := send(sender, messages...); err != nil {
			return err
		}
	}
	box, _, err := t.consume(t.group(), topic, byTag("tag"))
	if err != nil {
		return err
	}
	return box.exactly(sent)
}

func autoCreated(t *trial) error {
	sender, err := t.producer()
	if err != nil {
		return err
	}
	topic := t.own("fresh")
	if _, err := send(sender, message(topic, "first")); err != nil {
		return err
	}
	box, _, err := t.consume(t.group(), topic, byTag("*"))
	if err != nil {
		return err
	}
	return box.exactly([]string{"first"})
}

func autoCreateRefused(t *trial) error {
	sender, err := t.producer()
	if err != nil {
		return err
	}
	if _, err := send(sender, message(t.own("fresh"), "nothing")); err == nil {
		return fmt.Errorf("it was not refused")
	} else {
		t.note("%v", err)
	}
	return nil
}
