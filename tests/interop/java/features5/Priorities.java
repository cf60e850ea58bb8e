import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages with a priority: the broker puts each into the queue of that number. In which order queues are read is POP's, which is not here. */
final class Priorities {
    private static final int QUEUES = 4;

    private interface Setting {
        void apply(Message message);
    }

    static void list(Map<String, Features.Feature> features) {
        features.put("priority-chooses-queue", Priorities::choosesQueue);
        features.put("priority-consumed-in-order", Priorities::consumedInOrder);
        features.put("priority-lost", Priorities::lost);
        features.put("priority-in-batch", Priorities::inBatch);
    }

    private static String topic(Trial trial) throws Exception {
        TopicConfig config = new TopicConfig(trial.own(""), QUEUES, QUEUES, 6);
        config.getAttributes().put("+message.type", "PRIORITY");
        trial.admin().createAndUpdateTopicConfig(trial.place.broker(), config);
        trial.awaitRoute(config.getTopicName());
        return config.getTopicName();
    }

    private static Message message(String topic, String body, int priority) {
        Message message = new Message(topic, Trial.bytes(body));
        message.setPriority(priority);
        return message;
    }

    /** Whichever queue the producer has chosen. */
    private static void choosesQueue(Trial trial) throws Exception {
        String topic = topic(trial);
        DefaultMQProducer producer = trial.producer();
        Map<String, String> places = new TreeMap<>();
        for (int priority : List.of(0, 3, 1, 2, 4, 1_000, Integer.MAX_VALUE)) {
            SendResult result = Trial.stored(producer.send(message(topic, "p" + priority, priority), trial.queue(topic, 1)));
            Check.equal("queue of the reply to priority " + priority, Math.min(priority, QUEUES - 1), result.getMessageQueue().getQueueId());
            places.put("p" + priority, result.getMessageQueue().getQueueId() + " " + result.getQueueOffset());
        }
        for (String none : List.of("-1", "high", "")) {
            Message message = new Message(topic, Trial.bytes("p" + none));
            message.getProperties().put("_SYS_MSG_PRIORITY_", none);
            SendResult result = Trial.stored(producer.send(message, trial.queue(topic, 2)));
            Check.equal("queue of the reply to priority '" + none + "'", 2, result.getMessageQueue().getQueueId());
            places.put("p" + none, result.getMessageQueue().getQueueId() + " " + result.getQueueOffset());
        }
        for (MessageExt message : Sending.exactly(trial, topic, new ArrayList<>(places.keySet()))) {
            String body = Inbox.text(message);
            Check.equal("place of " + body, places.get(body), message.getQueueId() + " " + message.getQueueOffset());
            Check.equal("priority of " + body, body.matches("p\\d+") ? Integer.parseInt(body.substring(1)) : -1, message.getPriority());
        }
    }

    /** A consumer that asks the queues from the last to the first gets what is urgent first. */
    private static void consumedInOrder(Trial trial) throws Exception {
        String topic = topic(trial);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 40; number++) {
            Trial.send(producer, message(topic, number % QUEUES + " " + number, number % QUEUES));
        }
        DefaultMQPullConsumer puller = trial.puller(trial.group());
        List<String> got = new ArrayList<>();
        List<String> expected = new ArrayList<>();
        for (int queue = QUEUES - 1; queue >= 0; queue--) {
            trial.awaitStored(trial.queue(topic, queue), 10);
            puller.pull(trial.queue(topic, queue), "*", 0, 32).getMsgFoundList().forEach(message -> got.add(Inbox.text(message)));
            for (int number = queue; number < 40; number += QUEUES) {
                expected.add(queue + " " + number);
            }
        }
        Check.equal("messages in their order", expected, got);
    }

    /** What waits, is ordered by a key, or is part of a transaction stays in its queue, and has no priority any more. */
    private static void lost(Trial trial) throws Exception {
        String topic = topic(trial);
        DefaultMQProducer producer = trial.producer();
        Map<String, Setting> kinds = Map.of(
            "level", message -> message.setDelayTimeLevel(1),
            "seconds", message -> message.setDelayTimeSec(1),
            "milliseconds", message -> message.setDelayTimeMs(1_000),
            "moment", message -> message.setDeliverTimeMs(System.currentTimeMillis() + 1_000),
            "key", message -> message.getProperties().put("__SHARDINGKEY", "k"));
        for (Map.Entry<String, Setting> kind : kinds.entrySet()) {
            Message message = message(topic, kind.getKey(), 3);
            kind.getValue().apply(message);
            Trial.accepted(producer.send(message, trial.queue(topic, 1)));
        }
        List<String> expected = new ArrayList<>(kinds.keySet());
        TransactionMQProducer transactions = Transactions.producer(trial, new Transactions.Ledger(
            message -> org.apache.rocketmq.client.producer.LocalTransactionState.COMMIT_MESSAGE,
            message -> org.apache.rocketmq.client.producer.LocalTransactionState.UNKNOW));
        SendResult half = Trial.accepted(transactions.sendMessageInTransaction(message(topic, "transaction", 3), null));
        expected.add("transaction");
        for (MessageExt message : Sending.exactly(trial, topic, expected)) {
            String body = Inbox.text(message);
            Check.equal("priority of " + body, -1, message.getPriority());
            int queue = body.equals("transaction") ? half.getMessageQueue().getQueueId() : 1;
            Check.equal("queue of " + body, queue, message.getQueueId());
        }
    }

    /** A batch goes to one queue, whatever the priorities of its messages. */
    private static void inBatch(Trial trial) throws Exception {
        String topic = topic(trial);
        List<Message> batch = new ArrayList<>();
        List<String> bodies = new ArrayList<>();
        for (int priority = 0; priority < QUEUES; priority++) {
            batch.add(message(topic, "p" + priority, priority));
            bodies.add("p" + priority);
        }
        SendResult result = Trial.accepted(trial.producer().send(batch, trial.queue(topic, 2)));
        Check.equal("queue of the reply", 2, result.getMessageQueue().getQueueId());
        for (MessageExt message : Sending.exactly(trial, topic, bodies)) {
            Check.equal("queue of " + Inbox.text(message), 2, message.getQueueId());
            Check.equal("priority of " + Inbox.text(message), Inbox.text(message), "p" + message.getPriority());
        }
    }
}
