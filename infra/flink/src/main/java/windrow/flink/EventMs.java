package windrow.flink;

import java.time.DateTimeException;
import java.time.OffsetDateTime;
import org.apache.flink.table.functions.ScalarFunction;

/** A reading's time: epoch milliseconds, from themselves or from RFC 3339; null for anything else. */
public final class EventMs extends ScalarFunction {
    private static final long serialVersionUID = 1L;

    /** Returns epoch milliseconds. */
    public Long eval(String time) {
        if (time == null) {
            return null;
        }
        try {
            return Long.valueOf(time);
        } catch (NumberFormatException e) {
            return ofText(time);
        }
    }

    private static Long ofText(String time) {
        try {
            return OffsetDateTime.parse(time.replace(' ', 'T').toUpperCase()).toInstant().toEpochMilli();
        } catch (DateTimeException | ArithmeticException e) {
            return null;
        }
    }
}
