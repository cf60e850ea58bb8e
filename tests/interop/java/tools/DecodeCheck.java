import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.LanguageCode;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.SerializeType;

/** What Apache's encoders write, Decode must print as expected. Prints "ok" or what differs. */
public final class DecodeCheck {
    private static int failures;

    public static void main(String[] arguments) throws Exception {
        String common = "|GO|317|7|2|\"a remark: \\u017e \\ud83d\\ude80 \\u0022\\u005c\"|{\"a\"=\"\\u0001\",\"b\"=\"|\"}|00ff";
        expect("105" + common, Decode.command(decoded(command(105, SerializeType.JSON))));
        expect("105" + common, Decode.command(decoded(command(105, SerializeType.ROCKETMQ))));
        expect("3442" + common, Decode.command(decoded(command(200_050, SerializeType.ROCKETMQ))));
        RemotingCommand bare = RemotingCommand.createRequestCommand(34, null);
        bare.setOpaque(-1);
        expect("34|JAVA|0|-1|0|null|null|null", Decode.command(decoded(bare)));
        expect("\"topic \\u017e\"|3|0|42|4096|0|1700000000000|7f000001:54321|1700000000001|7f000001:10911|2|9|613153351|"
            + (91 + 2 + 8 + 19) + "|6869|{\"KEYS\"=\"k1 k2\",\"TAGS\"=\"ab\"}|\"7F00000100002A9F0000000000001000\"|3105",
            Decode.record(MessageDecoder.decode(ByteBuffer.wrap(MessageDecoder.encode(message(), false)), true, false)));
        System.out.println(failures == 0 ? "ok" : failures + " differ");
    }

    private static RemotingCommand command(int code, SerializeType type) {
        RemotingCommand command = RemotingCommand.createRequestCommand(code, null);
        command.setLanguage(LanguageCode.GO);
        command.setVersion(317);
        command.setOpaque(7);
        command.markOnewayRPC();
        command.setRemark("a remark: ž 🚀 \"\\");
        command.setExtFields(new HashMap<>(Map.of("b", "|", "a", "\u0001")));
        command.setBody(new byte[] {0, -1});
        command.setSerializeTypeCurrentRPC(type);
        return command;
    }

    private static RemotingCommand decoded(RemotingCommand command) throws Exception {
        return RemotingCommand.decode(command.encode().position(4).slice());
    }

    private static MessageExt message() {
        MessageExt message = new MessageExt();
        message.setTopic("topic ž");
        message.setQueueId(3);
        message.setQueueOffset(42);
        message.setCommitLogOffset(4096);
        message.setBornTimestamp(1_700_000_000_000L);
        message.setBornHost(new InetSocketAddress("127.0.0.1", 54321));
        message.setStoreTimestamp(1_700_000_000_001L);
        message.setStoreHost(new InetSocketAddress("127.0.0.1", 10911));
        message.setReconsumeTimes(2);
        message.setPreparedTransactionOffset(9);
        message.setBody("hi".getBytes(StandardCharsets.US_ASCII));
        message.setBodyCRC(613153351);
        message.setKeys("k1 k2");
        message.setTags("ab");
        return message;
    }

    private static void expect(String expected, String found) {
        if (!expected.equals(found)) {
            failures++;
            System.out.println("expected " + expected + "\nfound    " + found);
        }
    }
}
