import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** The lite pull consumer: it pulls in the background, one polls. */
final class LitePulling {
    private static final int POLL_MS = 200;

    static void list(Map<String, Features.Feature> features) {
        features.put("lite-pull-subscribe", LitePulling::subscribe);
        features.put("lite-pull-two-share", LitePulling::twoShare);
        features.put("lite-pull-assign", LitePulling::assign);
        features.put("lite-pull-seek", LitePulling::seek);
        features.put("lite-pull-seek-by-time", LitePulling::seekByTime);
        features.put("lite-pull-commit", LitePulling::commit);
        features.put("lite-pull-sql", LitePulling::sql);
    }

    /** Polls until that many messages have come. */
    private static List<MessageExt> poll(DefaultLitePullConsumer consumer, int count) {
        List<MessageExt> got = new ArrayList<>();
        long deadline = System.currentTimeMillis() + Check.PATIENCE_MS;
        while (got.size() < count && System.currentTimeMillis() < deadline) {
            got.addAll(consumer.poll(POLL_MS));
        }
        Check.that("there are " + count + " messages, not " + got.size(), got.size() >= count);
        return got;
    }

    private static List<String> bodies(Collection<MessageExt> messages) {
        return messages.stream().map(Inbox::text).toList();
    }

    private static void subscribe(Trial trial) throws Exception {
        String topic = trial.topic(4);
        List<String> sent = Trial.sendNumbered(trial.producer(), topic, "m", 50);
        DefaultLitePullConsumer consumer = trial.lite(trial.group());
        consumer.subscribe(topic, "*");
        trial.start(consumer);
        Check.sameElements("messages", sent, bodies(poll(consumer, 50)));
        consumer.commitSync();
        Check.eventually("all is committed", () -> {
            long sum = 0;
            for (int queue = 0; queue < 4; queue++) {
                sum += Math.max(0, consumer.committed(trial.queue(topic, queue)));
            }
            return sum == 50;
        });
    }

    private static void twoShare(Trial trial) throws Exception {
        String topic = trial.topic(4);
        DefaultLitePullConsumer first = trial.lite(trial.group());
        DefaultLitePullConsumer second = trial.lite(trial.group());
        for (DefaultLitePullConsumer consumer : List.of(first, second)) {
            consumer.subscribe(topic, "*");
            trial.start(consumer);
        }
        Check.eventually("each has two queues", () -> first.assignment().size() == 2 && second.assignment().size() == 2);
        List<String> sent = Trial.sendNumbered(trial.producer(), topic, "m", 40);
        List<String> got = new ArrayList<>(bodies(poll(first, 20)));
        got.addAll(bodies(poll(second, 20)));
        Check.sameElements("messages", sent, got);
    }

    private static void assign(Trial trial) throws Exception {
        String topic = trial.topic(4);
        DefaultMQProducer producer = trial.producer();
        List<String> wanted = Trial.sendNumbered(producer, trial.queue(topic, 1), "one ", 5);
        Trial.sendNumbered(producer, trial.queue(topic, 2), "two ", 5);
        DefaultLitePullConsumer consumer = trial.start(trial.lite(trial.group()));
        consumer.setAutoCommit(false);
        consumer.assign(Set.of(trial.queue(topic, 1)));
        consumer.seek(trial.queue(topic, 1), 0);
        Check.equal("in order, of one queue", wanted, bodies(poll(consumer, 5)));
        Check.equal("queues", 4, consumer.fetchMessageQueues(topic).size());
    }

    private static DefaultLitePullConsumer assigned(Trial trial, MessageQueue queue) throws Exception {
        DefaultLitePullConsumer consumer = trial.start(trial.lite(trial.group()));
        consumer.setAutoCommit(false);
        consumer.assign(Set.of(queue));
        return consumer;
    }

    private static void seek(Trial trial) throws Exception {
        MessageQueue queue = trial.queue(trial.topic(1), 0);
        DefaultMQProducer producer = trial.producer();
        List<String> sent = Trial.sendNumbered(producer, queue, "m", 20);
        DefaultLitePullConsumer consumer = assigned(trial, queue);
        consumer.seek(queue, 12);
        Check.equal("from 12", sent.subList(12, 20), bodies(poll(consumer, 8)));
        consumer.seekToBegin(queue);
        Check.equal("from the beginning", sent, bodies(poll(consumer, 20)));
        trial.awaitStored(queue, 20);
        consumer.seekToEnd(queue);
        Trial.accepted(producer.send(new Message(queue.getTopic(), Trial.bytes("after the end")), queue));
        Check.equal("from the end", List.of("after the end"), bodies(poll(consumer, 1)));
    }

    private static void seekByTime(Trial trial) throws Exception {
        MessageQueue queue = trial.queue(trial.topic(1), 0);
        DefaultMQProducer producer = trial.producer();
        Trial.sendNumbered(producer, queue, "before ", 5);
        Thread.sleep(50);
        long between = System.currentTimeMillis();
        Thread.sleep(50);
        List<String> after = Trial.sendNumbered(producer, queue, "after ", 5);
        DefaultLitePullConsumer consumer = assigned(trial, queue);
        trial.awaitStored(queue, 10);
        long offset = consumer.offsetForTimestamp(queue, between);
        Check.equal("offset at that time", 5L, offset);
        consumer.seek(queue, offset);
        Check.equal("from that time", after, bodies(poll(consumer, 5)));
    }

    private static void commit(Trial trial) throws Exception {
        MessageQueue queue = trial.queue(trial.topic(1), 0);
        DefaultMQProducer producer = trial.producer();
        Trial.sendNumbered(producer, queue, "first ", 10);
        DefaultLitePullConsumer before = trial.lite(trial.group());
        before.setAutoCommit(false);
        before.setPullBatchSize(4);
        before.subscribe(queue.getTopic(), "*");
        trial.start(before);
        poll(before, 10);
        before.commitSync();
        Check.eventually("committed", () -> before.committed(queue) == 10);
        before.shutdown();
        List<String> later = Trial.sendNumbered(producer, queue, "later ", 3);
        DefaultLitePullConsumer after = trial.lite(trial.group());
        after.subscribe(queue.getTopic(), "*");
        trial.start(after);
        Check.equal("what was not committed", later, bodies(poll(after, 3)));
    }

    private static void sql(Trial trial) throws Exception {
        String topic = trial.topic(2);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 20; number++) {
            Message message = new Message(topic, Trial.bytes("m" + number));
            message.putUserProperty("n", "" + number);
            Trial.send(producer, message);
        }
        DefaultLitePullConsumer consumer = trial.lite(trial.group());
        consumer.subscribe(topic, MessageSelector.bySql("n >= 17"));
        trial.start(consumer);
        Check.sameElements("messages", List.of("m17", "m18", "m19"), bodies(poll(consumer, 3)));
    }

    private LitePulling() { }
}
