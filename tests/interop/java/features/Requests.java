import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Request and reply. */
final class Requests {
    private static final int SYSTEM_ERROR = 1;
    private static final int TTL_MS = 30_000;
    private static final int SHORT_TTL_MS = 1_500;

    static void list(Map<String, Features.Feature> features) {
        features.put("request-reply", Requests::requestReply);
        features.put("request-reply-async", Requests::async);
        features.put("request-reply-many", Requests::many);
        features.put("request-chosen-queue", Requests::chosenQueue);
        features.put("request-timeout", Requests::timeout);
        features.put("reply-to-nobody", Requests::replyToNobody);
    }

    /** A consumer that answers each message with "reply to " and its body. */
    private static Inbox answer(Trial trial, String topic) throws Exception {
        DefaultMQProducer replier = trial.start(new DefaultMQProducer(trial.own("replier")));
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = trial.consumer(trial.group());
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                inbox.add(message);
                try {
                    Message reply = MessageUtil.createReplyMessage(message, Trial.bytes("reply to " + Inbox.text(message)));
                    reply.putUserProperty("by", "the replier");
                    Trial.send(replier, reply);
                } catch (Exception e) {
                    e.printStackTrace();
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        trial.start(consumer);
        return inbox;
    }

    private static void requestReply(Trial trial) throws Exception {
        String topic = trial.topic(2);
        Inbox inbox = answer(trial, topic);
        DefaultMQProducer producer = trial.producer();
        for (int number = 0; number < 5; number++) {
            Message reply = producer.request(new Message(topic, Trial.bytes("m" + number)), TTL_MS);
            Check.equal("reply", "reply to m" + number, new String(reply.getBody()));
            Check.equal("type", "reply", reply.getProperty("MSG_TYPE"));
            Check.equal("property", "the replier", reply.getProperty("by"));
            MessageExt request = inbox.all().get(number);
            Check.equal("correlation id", request.getProperty("CORRELATION_ID"), reply.getProperty("CORRELATION_ID"));
            Check.equal("time to live", "" + TTL_MS, request.getProperty("TTL"));
            Check.equal("whom to answer", producer.getDefaultMQProducerImpl().getMqClientFactory().getClientId(), request.getProperty("REPLY_TO_CLIENT"));
            trial.note(number == 0 ? "reply " + new java.util.TreeMap<>(reply.getProperties()).keySet() : "");
        }
    }

    private static void async(Trial trial) throws Exception {
        String topic = trial.topic(2);
        answer(trial, topic);
        DefaultMQProducer producer = trial.producer();
        CountDownLatch answered = new CountDownLatch(10);
        List<String> replies = Collections.synchronizedList(new ArrayList<>());
        AtomicReference<Throwable> problem = new AtomicReference<>();
        List<String> expected = new ArrayList<>();
        for (int number = 0; number < 10; number++) {
            expected.add("reply to m" + number);
            producer.request(new Message(topic, Trial.bytes("m" + number)), new RequestCallback() {
                @Override
                public void onSuccess(Message reply) {
                    replies.add(new String(reply.getBody()));
                    answered.countDown();
                }

                @Override
                public void onException(Throwable e) {
                    problem.set(e);
                    answered.countDown();
                }
            }, TTL_MS);
        }
        Check.that("all are answered", answered.await(Check.PATIENCE_MS, TimeUnit.MILLISECONDS));
        Check.equal("problem", null, problem.get());
        Check.sameElements("replies", expected, replies);
    }

    /** Two requesters at once: each gets the replies to its own requests. */
    private static void many(Trial trial) throws Exception {
        String topic = trial.topic(4);
        answer(trial, topic);
        List<CompletableFuture<Void>> requesters = new ArrayList<>();
        for (int requester = 0; requester < 2; requester++) {
            DefaultMQProducer producer = trial.start(new DefaultMQProducer(trial.own("producer-" + requester)));
            String prefix = "of " + requester + " ";
            requesters.add(CompletableFuture.runAsync(() -> {
                for (int number = 0; number < 25; number++) {
                    try {
                        Message reply = producer.request(new Message(topic, Trial.bytes(prefix + number)), TTL_MS);
                        Check.equal("reply", "reply to " + prefix + number, new String(reply.getBody()));
                    } catch (Exception e) {
                        throw new IllegalStateException(e);
                    }
                }
            }));
        }
        for (CompletableFuture<Void> requester : requesters) {
            requester.get(Check.PATIENCE_MS, TimeUnit.MILLISECONDS);
        }
    }

    private static void chosenQueue(Trial trial) throws Exception {
        String topic = trial.topic(3);
        Inbox inbox = answer(trial, topic);
        DefaultMQProducer producer = trial.producer();
        Message reply = producer.request(new Message(topic, Trial.bytes("by queue")), trial.queue(topic, 2), TTL_MS);
        Check.equal("reply", "reply to by queue", new String(reply.getBody()));
        reply = producer.request(new Message(topic, Trial.bytes("by selector")), (queues, message, argument) -> queues.get(1), null, TTL_MS);
        Check.equal("reply", "reply to by selector", new String(reply.getBody()));
        Check.equal("queues", List.of(2, 1), inbox.all().stream().map(MessageExt::getQueueId).toList());
    }

    private static void timeout(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        DefaultMQProducer producer = trial.producer();
        Trial.send(producer, new Message(topic, Trial.bytes("warm")));
        inbox.await("warm");
        try {
            producer.request(new Message(topic, Trial.bytes("nobody answers")), SHORT_TTL_MS);
        } catch (RequestTimeoutException expected) {
            inbox.await("nobody answers");
            trial.note("code " + expected.getResponseCode());
            return;
        }
        throw new IllegalStateException("there was a reply");
    }

    /** The requester has gone: the reply is refused, and nothing breaks. */
    private static void replyToNobody(Trial trial) throws Exception {
        String topic = trial.topic(1);
        Inbox inbox = trial.consume(trial.group(), topic, "*");
        DefaultMQProducer producer = trial.producer();
        Trial.send(producer, new Message(topic, Trial.bytes("warm")));
        inbox.await("warm");
        try {
            producer.request(new Message(topic, Trial.bytes("gone soon")), SHORT_TTL_MS);
        } catch (RequestTimeoutException expected) {
            producer.shutdown();
        }
        MessageExt request = inbox.await("gone soon").get(1);
        DefaultMQProducer replier = trial.start(new DefaultMQProducer(trial.own("replier")));
        Message reply = MessageUtil.createReplyMessage(request, Trial.bytes("too late"));
        trial.note(Check.refused("the reply", SYSTEM_ERROR, () -> replier.send(reply)).split("See")[0]);
    }

    private Requests() { }
}
