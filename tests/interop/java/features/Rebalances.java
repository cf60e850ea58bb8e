import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Members come, leave and die while messages flow. */
final class Rebalances {
    private static final int QUEUES = 4;

    static void list(Map<String, Features.Feature> features) {
        features.put("rebalance-join-and-leave", Rebalances::joinAndLeave);
        features.put("rebalance-join-and-die", Rebalances::joinAndDie);
        features.put("rebalance-orderly-join-and-die", Rebalances::orderlyJoinAndDie);
    }

    /** Sends numbers to each queue in turn, until told to stop. */
    private static final class Stream {
        private final Trial trial;
        private final DefaultMQProducer producer;
        private final String topic;
        private int sent;

        Stream(Trial trial, String topic) throws Exception {
            this.trial = trial;
            this.topic = topic;
            producer = trial.producer();
        }

        void send(int count) throws Exception {
            for (int end = sent + count; sent < end; sent++) {
                Trial.stored(producer.send(
                    new Message(topic, Trial.bytes("" + sent / QUEUES)), trial.queue(topic, sent % QUEUES)));
            }
        }

        HashSet<String> all() {
            HashSet<String> all = new HashSet<>();
            for (int number = 0; number < sent; number++) {
                all.add(number % QUEUES + "/" + number / QUEUES);
            }
            return all;
        }
    }

    private static Victim.Event event(MessageExt message) {
        return new Victim.Event(System.currentTimeMillis(), message.getQueueId(), Inbox.text(message));
    }

    private static HashSet<String> different(List<Victim.Event> events) {
        HashSet<String> different = new HashSet<>();
        events.forEach(event -> different.add(event.queue() + "/" + event.body()));
        return different;
    }

    private static DefaultMQPushConsumer consumer(Trial trial, String topic, boolean isOrderly, ConcurrentLinkedQueue<Victim.Event> events)
            throws Exception {
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.subscribe(topic, "*");
        if (isOrderly) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                messages.forEach(message -> events.add(event(message)));
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                messages.forEach(message -> events.add(event(message)));
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        return trial.start(consumer);
    }

    private static void joinAndLeave(Trial trial) throws Exception {
        String topic = trial.topic(QUEUES);
        Stream stream = new Stream(trial, topic);
        ConcurrentLinkedQueue<Victim.Event> events = new ConcurrentLinkedQueue<>();
        DefaultMQPushConsumer stays = consumer(trial, topic, false, events);
        stream.send(100);
        DefaultMQPushConsumer leaves = consumer(trial, topic, false, events);
        Check.eventually("both have two queues", () -> Groups.queues(stays, topic) == 2 && Groups.queues(leaves, topic) == 2);
        stream.send(100);
        leaves.shutdown();
        Check.eventually("one has all queues", () -> Groups.queues(stays, topic) == QUEUES);
        stream.send(100);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.equal("different messages", stream.all(), different(new ArrayList<>(events)));
        trial.note(events.size() - 300 + " repeated");
    }

    private static List<Victim.Event> joinAndDie(Trial trial, boolean isOrderly, Stream stream, String topic) throws Exception {
        ConcurrentLinkedQueue<Victim.Event> events = new ConcurrentLinkedQueue<>();
        DefaultMQPushConsumer stays = consumer(trial, topic, isOrderly, events);
        stream.send(100);
        Victim victim = Victim.start(trial, isOrderly ? "orderly" : "concurrent", topic, trial.group());
        Check.eventually("the other consumes", () -> {
            stream.send(4);
            return victim.events().size() >= 10;
        });
        stream.send(100);
        victim.kill();
        stream.send(100);
        Check.eventually("one has all queues", () -> Groups.queues(stays, topic) == QUEUES);
        trial.awaitAllConsumed(trial.group(), topic);
        List<Victim.Event> all = new ArrayList<>(events);
        all.addAll(victim.events());
        Check.equal("different messages", stream.all(), different(all));
        trial.note(stream.sent + " sent, " + victim.events().size() + " consumed by who died, "
            + (all.size() - stream.sent) + " repeated");
        return all;
    }

    private static void joinAndDie(Trial trial) throws Exception {
        String topic = trial.topic(QUEUES);
        joinAndDie(trial, false, new Stream(trial, topic), topic);
    }

    /** Whatever is repeated: no message is consumed for the first time before all that precede it in its queue. */
    private static void orderlyJoinAndDie(Trial trial) throws Exception {
        String topic = trial.topic(QUEUES);
        List<Victim.Event> events = joinAndDie(trial, true, new Stream(trial, topic), topic);
        events.sort(Comparator.comparingLong(Victim.Event::time).thenComparing(event -> Integer.parseInt(event.body())));
        Map<Integer, Integer> newest = new HashMap<>();
        for (Victim.Event event : events) {
            int number = Integer.parseInt(event.body());
            int before = newest.getOrDefault(event.queue(), -1);
            Check.that("in queue " + event.queue() + " " + number + " comes after " + before + ", none is skipped", number <= before + 1);
            newest.put(event.queue(), Math.max(before, number));
        }
    }

    private Rebalances() { }
}
