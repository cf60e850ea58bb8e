package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// Transactional messages. The profile asks back after 2 s, each second.
var transactions = map[string]feature{
	"transaction-commit":                transactionAll(primitive.CommitMessageState, primitive.UnknowState),
	"transaction-rollback":              transactionAll(primitive.RollbackMessageState, primitive.UnknowState),
	"transaction-unknown-then-commit":   transactionAll(primitive.UnknowState, primitive.CommitMessageState),
	"transaction-unknown-then-rollback": transactionAll(primitive.UnknowState, primitive.RollbackMessageState),
	"transaction-mixed":                 transactionMixed,
}

// What the local side says, by the body; and what it was asked.
type decisions struct {
	sync.Mutex // guards asked
	asked      map[string]*primitive.MessageExt
	first      func(body string) primitive.LocalTransactionState
	later      func(body string) primitive.LocalTransactionState
}

func (d *decisions) ExecuteLocalTransaction(message *primitive.Message) primitive.LocalTransactionState {
	return d.first(string(message.Body))
}

func (d *decisions) CheckLocalTransaction(message *primitive.MessageExt) primitive.LocalTransactionState {
	d.Lock()
	defer d.Unlock()
	d.asked[string(message.Body)] = message
	return d.later(string(message.Body))
}

func (d *decisions) askedAbout() int {
	d.Lock()
	defer d.Unlock()
	return len(d.asked)
}

func (t *trial) transactional(listener *decisions) (rocketmq.TransactionProducer, error) {
	listener.asked = map[string]*primitive.MessageExt{}
	sender, err := rocketmq.NewTransactionProducer(listener, producer.WithNameServer(t.servers()),
		producer.WithGroupName(t.own("producer")), producer.WithInstanceName(t.instance()), producer.WithSendMsgTimeout(sendTimeout))
	if err != nil {
		return nil, err
	}
	if err := sender.Start(); err != nil {
		return nil, err
	}
	t.onClose(func() { _ = sender.Shutdown() })
	return sender, nil
}

func begin(sender rocketmq.TransactionProducer, sent *primitive.Message) error {
	result, err := sender.SendMessageInTransaction(context.Background(), sent)
	if err == nil && result.Status != primitive.SendOK {
		err = fmt.Errorf("status of %v", result)
	}
	return err
}

func transactionAll(first, later primitive.LocalTransactionState) feature {
	return func(t *trial) error {
		topic, err := t.topic("", 1)
		if err != nil {
			return err
		}
		always := func(state primitive.LocalTransactionState) func(string) primitive.LocalTransactionState {
			return func(body string) primitive.LocalTransactionState {
				if body == "last" {
					return primitive.CommitMessageState
				}
				return state
			}
		}
		listener := &decisions{first: always(first), later: always(later)}
		sender, err := t.transactional(listener)
		if err != nil {
			return err
		}
		var expected []string
		for number := 0; number < 5; number++ {
			body := fmt.Sprintf("m%d", number)
			if err := begin(sender, message(topic, body).WithTag("tag").WithKeys([]string{"key-" + body})); err != nil {
				return err
			}
			if first == primitive.CommitMessageState || later == primitive.CommitMessageState {
				expected = append(expected, body)
			}
		}
		if first == primitive.UnknowState {
			if err := eventually("all are asked about", func() bool { return listener.askedAbout() == 5 }); err != nil {
				return err
			}
			if err := equal("topic that is asked about", topic, listener.asked["m3"].Topic); err != nil {
				return err
			}
		}
		if err := begin(sender, message(topic, "last")); err != nil {
			return err
		}
		all, err := t.exactly(topic, append(expected, "last"))
		if err != nil {
			return err
		}
		for _, got := range all {
			if body := string(got.Body); body != "last" {
				if err := equal("tag and keys", "tag key-"+body, got.GetTags()+" "+got.GetKeys()); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func transactionMixed(t *trial) error {
	topic, err := t.topic("", 4)
	if err != nil {
		return err
	}
	numberOf := func(body string) (number int) {
		_, _ = fmt.Sscanf(body, "m%d", &number)
		return number
	}
	listener := &decisions{
		first: func(body string) primitive.LocalTransactionState {
			return []primitive.LocalTransactionState{primitive.CommitMessageState, primitive.RollbackMessageState,
				primitive.UnknowState, primitive.UnknowState}[numberOf(body)%4]
		},
		later: func(body string) primitive.LocalTransactionState {
			if numberOf(body)%4 == 2 {
				return primitive.CommitMessageState
			}
			return primitive.RollbackMessageState
		},
	}
	sender, err := t.transactional(listener)
	if err != nil {
		return err
	}
	var committed []string
	for number := 0; number < 100; number++ {
		body := fmt.Sprintf("m%d", number)
		if err := begin(sender, message(topic, body)); err != nil {
			return err
		}
		if number%2 == 0 {
			committed = append(committed, body)
		}
	}
	if err := eventually("all unknown are asked about", func() bool { return listener.askedAbout() >= 50 }); err != nil {
		return err
	}
	_, err = t.exactly(topic, committed)
	return err
}
