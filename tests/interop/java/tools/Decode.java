import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/**
 * Decodes bytes with Apache's own decoders and prints what they found, so that other decoders can be compared with them.
 *
 * Decode command FILE…   frames: the input of RemotingCommand.decode, which is all that follows a frame's length
 * Decode record FILE…    stored messages: the input of MessageDecoder.decode
 *
 * A file is a sequence of inputs, each behind its length (i32, big-endian); so a file of whole frames is one too. Each
 * input makes one line, `error` when the decoder refuses it. The fields of a line are separated by `|`:
 *
 * command   code|language|version|opaque|flag|remark|fields|body
 * record    topic|queueId|flag|queueOffset|physicalOffset|sysFlag|bornTimestamp|bornHost|storeTimestamp|storeHost|
 *           reconsumeTimes|preparedTransactionOffset|bodyCrc|storeSize|body|properties|messageId|tagHash
 *
 * number    decimal, signed as in Java
 * language  the enum's name, or null
 * string    "…" of its UTF-16 units: a printable ASCII character (but " and \) as itself, any other unit as \ and u and
 *           four lower-case hex digits; or null
 * map       {k=v,k=v} of strings, sorted by the key's UTF-16 units, a null key first; or null
 * bytes     lower-case hex; or null. An empty frame body is null.
 * host      the address in hex, a colon, the port: 7f000001:10911. Java turns an IPv4-mapped IPv6 address into 4 bytes.
 * tagHash   String.hashCode of the property TAGS, 0 without tags
 */
public final class Decode {
    private static final HexFormat HEX = HexFormat.of();

    public static void main(String[] arguments) throws IOException {
        PrintStream answers = System.out;
        System.setOut(System.err); // Apache's logging library greets on stdout.
        try (OutputStream lines = new BufferedOutputStream(answers, 1 << 20)) {
            for (int i = 1; i < arguments.length; i++) {
                decodeFile(arguments[0], Path.of(arguments[i]), lines);
            }
        }
    }

    private static void decodeFile(String mode, Path file, OutputStream lines) throws IOException {
        try (DataInputStream inputs = new DataInputStream(new BufferedInputStream(Files.newInputStream(file), 1 << 20))) {
            while (true) {
                int length;
                try {
                    length = inputs.readInt();
                } catch (EOFException end) {
                    return;
                }
                byte[] input = new byte[length];
                inputs.readFully(input);
                lines.write((decode(mode, input) + "\n").getBytes(StandardCharsets.US_ASCII));
            }
        }
    }

    /** Whatever a decoder throws is its refusal; that includes memory that it cannot get for a length that lies. */
    private static String decode(String mode, byte[] input) {
        try {
            return switch (mode) {
                case "command" -> command(RemotingCommand.decode(ByteBuffer.wrap(input)));
                case "record" -> record(MessageDecoder.decode(ByteBuffer.wrap(input), true, false));
                default -> throw new AssertionError("no such mode: " + mode);
            };
        } catch (Exception | OutOfMemoryError | StackOverflowError e) {
            return "error";
        }
    }

    static String command(RemotingCommand command) {
        if (command == null) {
            return "error";
        }
        return String.join("|",
            Integer.toString(command.getCode()),
            String.valueOf(command.getLanguage()),
            Integer.toString(command.getVersion()),
            Integer.toString(command.getOpaque()),
            Integer.toString(command.getFlag()),
            string(command.getRemark()),
            map(command.getExtFields()),
            bytes(command.getBody()));
    }

    static String record(MessageExt message) {
        if (message == null) {
            return "error";
        }
        return String.join("|",
            string(message.getTopic()),
            Integer.toString(message.getQueueId()),
            Integer.toString(message.getFlag()),
            Long.toString(message.getQueueOffset()),
            Long.toString(message.getCommitLogOffset()),
            Integer.toString(message.getSysFlag()),
            Long.toString(message.getBornTimestamp()),
            host(message.getBornHost()),
            Long.toString(message.getStoreTimestamp()),
            host(message.getStoreHost()),
            Integer.toString(message.getReconsumeTimes()),
            Long.toString(message.getPreparedTransactionOffset()),
            Integer.toString(message.getBodyCRC()),
            Integer.toString(message.getStoreSize()),
            bytes(message.getBody()),
            map(message.getProperties()),
            string(message.getMsgId()),
            Integer.toString(message.getTags() == null ? 0 : message.getTags().hashCode()));
    }

    private static String string(String text) {
        if (text == null) {
            return "null";
        }
        StringBuilder escaped = new StringBuilder(text.length() + 2).append('"');
        for (int i = 0; i < text.length(); i++) {
            char unit = text.charAt(i);
            if (unit >= ' ' && unit <= '~' && unit != '"' && unit != '\\') {
                escaped.append(unit);
            } else {
                escaped.append("\\u").append(HEX.toHexDigits(unit));
            }
        }
        return escaped.append('"').toString();
    }

    private static String map(Map<String, String> map) {
        if (map == null) {
            return "null";
        }
        Map<String, String> sorted = new TreeMap<>(Comparator.nullsFirst(Comparator.naturalOrder()));
        sorted.putAll(map);
        StringBuilder text = new StringBuilder("{");
        sorted.forEach((key, value) -> text.append(text.length() > 1 ? "," : "").append(string(key)).append('=').append(string(value)));
        return text.append('}').toString();
    }

    private static String bytes(byte[] bytes) {
        return bytes == null ? "null" : HEX.formatHex(bytes);
    }

    private static String host(SocketAddress host) {
        InetSocketAddress address = (InetSocketAddress) host;
        return HEX.formatHex(address.getAddress().getAddress()) + ":" + address.getPort();
    }
}
