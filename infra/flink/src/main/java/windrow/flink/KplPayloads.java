package windrow.flink;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The payloads of one record of the stream: those of a KPL aggregate, else the record itself.
 *
 * <p>The format is the one of "KPL aggregated record format": four magic bytes, a protobuf message whose field 3 has the
 * user records, and the MD5 of that message. The Kinesis connector for Flink 2 (6.0) leaves aggregates as they are.
 */
final class KplPayloads {
    private static final byte[] MAGIC = {(byte) 0xF3, (byte) 0x89, (byte) 0x9A, (byte) 0xC2};
    private static final int MD5_BYTES = 16;
    private static final int USER_RECORDS = 3;
    private static final int DATA = 3;

    private final byte[] bytes;
    private int at;

    private KplPayloads(byte[] bytes, int from) {
        this.bytes = bytes;
        this.at = from;
    }

    /** Returns the payloads; none of an aggregate that is damaged, so that none of them counts in part. */
    static List<byte[]> of(byte[] record) {
        if (!isAggregate(record)) {
            return List.of(record);
        }
        byte[] message = Arrays.copyOfRange(record, MAGIC.length, record.length - MD5_BYTES);
        byte[] digest = Arrays.copyOfRange(record, record.length - MD5_BYTES, record.length);
        if (!Arrays.equals(md5(message), digest)) {
            return List.of();
        }
        try {
            List<byte[]> payloads = new ArrayList<>();
            for (byte[] userRecord : fields(message, USER_RECORDS)) {
                payloads.addAll(fields(userRecord, DATA));
            }
            return payloads;
        } catch (IndexOutOfBoundsException | IllegalArgumentException e) {
            return List.of();
        }
    }

    private static boolean isAggregate(byte[] record) {
        return record.length >= MAGIC.length + MD5_BYTES
                && Arrays.equals(record, 0, MAGIC.length, MAGIC, 0, MAGIC.length);
    }

    /** Returns the values of a field with a length, wherever it stands in a message. */
    private static List<byte[]> fields(byte[] message, int wanted) {
        List<byte[]> found = new ArrayList<>();
        KplPayloads walk = new KplPayloads(message, 0);
        while (walk.at < message.length) {
            long key = walk.varint();
            int wireType = (int) (key & 7);
            if (wireType == 0) {
                walk.varint();
            } else if (wireType == 2) {
                byte[] value = walk.take(walk.varint());
                if (key >>> 3 == wanted) {
                    found.add(value);
                }
            } else if (wireType == 1 || wireType == 5) {
                walk.take(wireType == 1 ? 8 : 4);
            } else {
                throw new IllegalArgumentException("wire type " + wireType);
            }
        }
        return found;
    }

    private long varint() {
        long value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            byte one = bytes[at++];
            value |= (long) (one & 0x7F) << shift;
            if (one >= 0) {
                return value;
            }
        }
        throw new IllegalArgumentException("an integer of more than ten bytes");
    }

    private byte[] take(long length) {
        if (length < 0 || length > bytes.length - at) {
            throw new IndexOutOfBoundsException();
        }
        at += (int) length;
        return Arrays.copyOfRange(bytes, at - (int) length, at);
    }

    private static byte[] md5(byte[] message) {
        try {
            return MessageDigest.getInstance("MD5").digest(message);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java has it
        }
    }
}
