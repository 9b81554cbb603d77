package windrow.flink;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.functions.ScalarFunction;

/** A value in thousandths of its unit, rounded half to even; of a temperature, in thousandths of a degree Celsius. */
public final class Milli extends ScalarFunction {
    private static final long serialVersionUID = 1L;

    private static final BigDecimal THOUSAND = BigDecimal.valueOf(1000);
    private static final MathContext DIGITS = MathContext.DECIMAL128;

    /** Returns thousandths; null without a value, for a unit that no temperature has, and beyond 32 bits. */
    public Integer eval(@DataTypeHint("DECIMAL(20, 9)") BigDecimal value, String unit, Boolean isTemperature) {
        if (value == null || unit == null) {
            return null;
        }
        BigDecimal milli = value.multiply(THOUSAND);
        if (isTemperature) {
            switch (unit) {
                case "C":
                    break;
                case "F":
                    milli = value.subtract(BigDecimal.valueOf(32))
                            .multiply(BigDecimal.valueOf(5000))
                            .divide(BigDecimal.valueOf(9), DIGITS);
                    break;
                case "K":
                    milli = milli.subtract(BigDecimal.valueOf(273_150));
                    break;
                default:
                    return null;
            }
        }
        BigDecimal rounded = milli.setScale(0, RoundingMode.HALF_EVEN);
        try {
            return rounded.intValueExact();
        } catch (ArithmeticException e) {
            return null;
        }
    }
}
