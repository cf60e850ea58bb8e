import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Consumer groups whose members stay. */
final class Groups {
    private static final int SUBSCRIPTION_GROUP_NOT_EXIST = 26;
    private static final int CONSUMER_NOT_ONLINE = 206;

    static void list(Map<String, Features.Feature> features) {
        features.put("group-shares-queues", Groups::sharesQueues);
        features.put("group-broadcast-three", Groups::broadcast);
        features.put("group-several-topics", Groups::severalTopics);
        features.put("group-two-groups", Groups::twoGroups);
        features.put("group-batches", Groups::batches);
        features.put("group-orderly", Groups::orderly);
        features.put("group-suspend-resume", Groups::suspendResume);
        features.put("group-not-online", Groups::notOnline);
        features.put("group-namespace", Groups::namespace);
        features.put("group-auto-create-refused", Groups::autoCreateRefused);
    }

    private static void sharesQueues(Trial trial) throws Exception {
        String topic = trial.topic(4);
        List<Inbox> inboxes = List.of(new Inbox(), new Inbox());
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        for (Inbox inbox : inboxes) {
            DefaultMQPushConsumer consumer = trial.consumer(trial.group());
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener(Trial.into(inbox));
            consumers.add(trial.start(consumer));
        }
        Check.eventually("each has two queues", () -> consumers.stream().allMatch(consumer -> queues(consumer, topic) == 2));
        List<String> sent = Trial.sendNumbered(trial.producer(), topic, "m", 80);
        trial.awaitAllConsumed(trial.group(), topic);
        List<String> got = new ArrayList<>(inboxes.get(0).bodies());
        got.addAll(inboxes.get(1).bodies());
        Check.sameElements("messages of both", sent, got);
        Check.equal("connections", 2, trial.admin().examineConsumerConnectionInfo(trial.group()).getConnectionSet().size());
    }

    static long queues(DefaultMQPushConsumer consumer, String topic) {
        return consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet().stream()
            .filter(queue -> queue.getTopic().equals(topic)).count();
    }

    private static void broadcast(Trial trial) throws Exception {
        String topic = trial.topic(2);
        List<Inbox> inboxes = List.of(new Inbox(), new Inbox(), new Inbox());
        for (Inbox inbox : inboxes) {
            DefaultMQPushConsumer consumer = trial.consumer(trial.group());
            setBroadcasting(consumer);
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener(Trial.into(inbox));
            trial.start(consumer);
        }
        List<String> sent = Trial.sendNumbered(trial.producer(), topic, "m", 40);
        for (Inbox inbox : inboxes) {
            inbox.await(40);
            Check.sameElements("messages of one consumer", sent, inbox.bodies());
        }
    }

    /** Its enum is in another package in 5.x. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void setBroadcasting(DefaultMQPushConsumer consumer) throws Exception {
        for (var method : DefaultMQPushConsumer.class.getMethods()) {
            if (method.getName().equals("setMessageModel")) {
                method.invoke(consumer, Enum.valueOf((Class) method.getParameterTypes()[0], "BROADCASTING"));
            }
        }
    }

    private static void severalTopics(Trial trial) throws Exception {
        DefaultMQProducer producer = trial.producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.registerMessageListener(Trial.into(inbox));
        List<String> sent = new ArrayList<>();
        for (int number = 0; number < 5; number++) {
            String topic = trial.topic("topic" + number, 1, 6);
            consumer.subscribe(topic, number == 0 ? "wanted" : "*");
            for (String tag : List.of("unwanted", "wanted")) {
                Trial.send(producer, new Message(topic, tag, Trial.bytes(topic + " " + tag)));
                if (number > 0 || tag.equals("wanted")) {
                    sent.add(topic + " " + tag);
                }
            }
        }
        trial.start(consumer);
        inbox.await(sent.size());
        for (int number = 0; number < 5; number++) {
            trial.awaitAllConsumed(trial.group(), trial.own("topic" + number));
        }
        Check.sameElements("messages", sent, inbox.bodies());
    }

    private static void twoGroups(Trial trial) throws Exception {
        String topic = trial.topic(2);
        List<String> sent = Trial.sendNumbered(trial.producer(), topic, "m", 20);
        Inbox first = trial.consume(trial.own("one"), topic, "*");
        Inbox second = trial.consume(trial.own("two"), topic, "*");
        trial.awaitAllConsumed(trial.own("one"), topic);
        trial.awaitAllConsumed(trial.own("two"), topic);
        Check.sameElements("of the first", sent, first.bodies());
        Check.sameElements("of the second", sent, second.bodies());
    }

    private static void batches(Trial trial) throws Exception {
        String topic = trial.topic(1);
        List<String> sent = Trial.sendNumbered(trial.producer(), topic, "m", 100);
        Inbox inbox = new Inbox();
        ConcurrentLinkedQueue<Integer> sizes = new ConcurrentLinkedQueue<>();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.setConsumeMessageBatchMaxSize(16);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            sizes.add(messages.size());
            inbox.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        trial.start(consumer);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.sameElements("messages", sent, inbox.bodies());
        Check.that("full batches came: " + sizes, sizes.stream().mapToInt(size -> size).max().orElse(0) == 16);
    }

    private static void orderly(Trial trial) throws Exception {
        String topic = trial.topic(4);
        DefaultMQProducer producer = trial.producer();
        for (int queue = 0; queue < 4; queue++) {
            Trial.sendNumbered(producer, trial.queue(topic, queue), "", 50);
        }
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(Trial.orderlyInto(inbox));
        trial.start(consumer);
        inbox.await(200);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.equal("messages", 200, inbox.size());
        Map<Integer, Integer> next = new HashMap<>();
        for (MessageExt message : inbox.all()) {
            int expected = next.merge(message.getQueueId(), 1, Integer::sum) - 1;
            Check.equal("next of queue " + message.getQueueId(), "" + expected, Inbox.text(message));
        }
    }

    private static void suspendResume(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQProducer producer = trial.producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(Trial.into(inbox));
        trial.start(consumer);
        Trial.sendNumbered(producer, topic, "before ", 1);
        inbox.await("before 0");
        consumer.suspend();
        List<String> sent = new ArrayList<>(List.of("before 0"));
        sent.addAll(Trial.sendNumbered(producer, topic, "meanwhile ", 10));
        consumer.resume();
        inbox.await(11);
        trial.awaitAllConsumed(trial.group(), topic);
        Check.sameElements("messages", sent, inbox.bodies());
    }

    private static void notOnline(Trial trial) throws Exception {
        String topic = trial.topic(1);
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(Trial.into(new Inbox()));
        trial.start(consumer);
        Check.eventually("it is online", () ->
            trial.admin().examineConsumerConnectionInfo(trial.group()).getConnectionSet().size() == 1);
        var connections = trial.admin().examineConsumerConnectionInfo(trial.group());
        Check.equal("type", "CONSUME_PASSIVELY", connections.getConsumeType().name());
        Check.equal("model", "CLUSTERING", connections.getMessageModel().name());
        Check.equal("from where", "CONSUME_FROM_FIRST_OFFSET", connections.getConsumeFromWhere().name());
        Check.equal("expression", "*", connections.getSubscriptionTable().get(topic).getSubString());
        Check.that("retries are subscribed", connections.getSubscriptionTable().containsKey("%RETRY%" + trial.group()));
        consumer.shutdown();
        Check.refused("nobody is online", CONSUMER_NOT_ONLINE, () -> trial.admin().examineConsumerConnectionInfo(trial.group()));
    }

    private static void namespace(Trial trial) throws Exception {
        String topic = trial.own("topic");
        String whole = "space%" + topic;
        trial.admin().createAndUpdateTopicConfig(trial.place.broker(), new org.apache.rocketmq.common.TopicConfig(whole, 1, 1, 6));
        trial.awaitRoute(whole);
        DefaultMQProducer producer = new DefaultMQProducer("space", trial.own("producer"));
        trial.start(producer);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("space", trial.group());
        trial.configure(consumer);
        consumer.setConsumeFromWhere(org.apache.rocketmq.common.consumer.ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        Inbox inbox = new Inbox();
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(Trial.into(inbox));
        trial.start(consumer);
        Trial.sendNumbered(producer, topic, "m", 3);
        Check.equal("topic as its consumer sees it", topic, inbox.await(3).get(0).getTopic());
        trial.awaitStored(trial.queue(whole, 0), 3);
        Check.equal("members under the whole name", 1,
            trial.admin().examineConsumerConnectionInfo("space%" + trial.group()).getConnectionSet().size());
    }

    private static void autoCreateRefused(Trial trial) throws Exception {
        String topic = trial.topic(1);
        var puller = trial.puller(trial.group());
        Check.refused("a pull of an unknown group", SUBSCRIPTION_GROUP_NOT_EXIST,
            () -> puller.pull(trial.queue(topic, 0), "*", 0, 32));
    }

    private Groups() { }
}
