import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages delayed by level. The profile's levels are 1 s, 2 s, 3 s, and 1 s for all others. */
final class Levels {
    static void list(Map<String, Features.Feature> features) {
        features.put("delay-levels", Levels::levels);
        features.put("delay-level-above-highest", Levels::aboveHighest);
        features.put("delay-keeps-order", Levels::keepsOrder);
    }

    private static void levels(Trial trial) throws Exception {
        String topic = trial.topic(2);
        DefaultMQProducer producer = trial.producer();
        long[] delays = {0, 1_000, 2_000, 3_000, 1_000};
        SendResult[] results = new SendResult[delays.length];
        for (int level = 0; level < delays.length; level++) {
            Message message = new Message(topic, "tag", "key-" + level, Trial.bytes("level " + level));
            message.putUserProperty("a", "b");
            message.setDelayTimeLevel(level);
            results[level] = Trial.accepted(producer.send(message, trial.queue(topic, 1)));
        }
        Inbox inbox = trial.consume(trial.group(), topic, "tag");
        for (MessageExt message : inbox.await(delays.length)) {
            int level = Integer.parseInt(message.getKeys().substring(4));
            Check.equal("body", "level " + level, Inbox.text(message));
            Check.equal("queue", 1, message.getQueueId());
            Check.equal("property", "b", message.getUserProperty("a"));
            Check.equal("unique key", results[level].getMsgId(), message.getProperty("UNIQ_KEY"));
            long waited = message.getStoreTimestamp() - message.getBornTimestamp();
            Check.that("level " + level + " waited for " + delays[level] + " ms, not " + waited, waited >= delays[level]);
            Check.equal("level property", "" + level, message.getProperty("DELAY"));
            Check.equal("topic property", level == 0 ? null : topic, message.getProperty("REAL_TOPIC"));
            Check.equal("queue property", level == 0 ? null : "1", message.getProperty("REAL_QID"));
        }
        trial.awaitAllConsumed(trial.group(), topic);
        Check.equal("deliveries", delays.length, inbox.size());
    }

    private static void aboveHighest(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Message message = new Message(topic, Trial.bytes("far above"));
        message.setDelayTimeLevel(99);
        Trial.send(trial.producer(), message);
        MessageExt got = trial.consume(trial.group(), topic, "*").await(1).get(0);
        long waited = got.getStoreTimestamp() - got.getBornTimestamp();
        Check.that("it waited for the highest level's 1 s, not " + waited, waited >= 1_000);
    }

    private static void keepsOrder(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 50; number++) {
            Message message = new Message(topic, Trial.bytes("m" + number));
            message.setDelayTimeLevel(1);
            Trial.send(producer, message);
        }
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        inbox.await(50);
        trial.awaitAllConsumed(trial.group(), topic);
        List<String> inQueue = inbox.all().stream().sorted(java.util.Comparator.comparingLong(MessageExt::getQueueOffset))
            .map(Inbox::text).toList();
        Check.equal("order in the queue", java.util.stream.IntStream.range(0, 50).mapToObj(number -> "m" + number).toList(), inQueue);
    }

    private Levels() { }
}
