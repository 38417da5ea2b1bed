// Behaviour of the block RAMs of a 7-series FPGA, for netlists: RAMB36E1 and RAMB18E1 without
// output registers, error correction or cascading.  Yosys has their ports and timing only.
//
// A memory has words of 32 data and 4 parity bits; addresses count data bits.  A port of 36, 18 or 9
// bits has a parity bit for each byte, narrower ones see data bits only.

module penstock_block_ram #(
  parameter ABITS = 15,
  parameter READ_A = 0, READ_B = 0, WRITE_A = 0, WRITE_B = 0,  // bits of a port, 0: not used
  parameter MODE_A = "WRITE_FIRST", MODE_B = "WRITE_FIRST",
  parameter [(32 << ABITS - 5) - 1:0] INIT = 0,
  parameter [(4 << ABITS - 5) - 1:0] INITP = 0,
  parameter [71:0] RESET_A = 0, RESET_B = 0
) (
  input clk_a, clk_b, en_a, en_b, rst_a, rst_b,
  input [ABITS-1:0] addr_a, addr_b,
  input [63:0] di_a, di_b,
  input [7:0] dip_a, dip_b, we_a, we_b,
  output reg [63:0] do_a, do_b,
  output reg [7:0] dop_a, dop_b
);
  localparam WORDS = 1 << ABITS - 5;
  reg [31:0] data [0:WORDS-1];
  reg [3:0] parity [0:WORDS-1];

  integer k;
  initial begin
    for (k = 0; k < WORDS; k = k + 1) begin
      data[k] = INIT[32*k +: 32];
      parity[k] = INITP[4*k +: 4];
    end
    do_a = 0; do_b = 0; dop_a = 0; dop_b = 0;
  end

  // Data bits of a port.
  function integer bits(input integer width);
    bits = width == 72 ? 64 : width == 36 ? 32 : width == 18 ? 16 : width == 9 ? 8 : width;
  endfunction

  // Of the words that a port sees, which one is the first, and where in it the port's bits begin.
  function [ABITS-6:0] word(input [ABITS-1:0] addr, input integer width);
    word = width == 72 ? {addr[ABITS-1:6], 1'b0} : addr[ABITS-1:5];
  endfunction

  function [4:0] place(input [ABITS-1:0] addr, input integer width);
    place = width >= 36 ? 5'd0 : addr[4:0] & ~(5'(bits(width)) - 5'd1);
  endfunction

  function [31:0] data_mask(input [3:0] we, input integer width);
    data_mask = width >= 36 ? {{8{we[3]}}, {8{we[2]}}, {8{we[1]}}, {8{we[0]}}}
              : width == 18 ? {16'd0, {8{we[1]}}, {8{we[0]}}}
              : we[0] ? (32'd1 << bits(width)) - 32'd1 : 32'd0;
  endfunction

  function [3:0] parity_mask(input [3:0] we, input integer width);
    parity_mask = width >= 36 ? we : width == 18 ? {2'd0, we[1:0]}
                : width == 9 ? {3'd0, we[0]} : 4'd0;
  endfunction

`define PORT(p, READ, WRITE, MODE, RESET) \
  wire [ABITS-6:0] read_``p = word(addr_``p, READ); \
  wire [ABITS-6:0] write_``p = word(addr_``p, WRITE); \
  wire [4:0] from_``p = place(addr_``p, READ); \
  wire [4:0] to_``p = place(addr_``p, WRITE); \
  wire [31:0] mask_``p = data_mask(we_``p[3:0], WRITE) << to_``p; \
  wire [3:0] maskp_``p = parity_mask(we_``p[3:0], WRITE) << to_``p[4:3]; \
  wire [31:0] upper_``p = data_mask(we_``p[7:4], WRITE); \
  always @(posedge clk_``p) if (en_``p) begin \
    if (READ != 0) begin \
      if (rst_``p) {dop_``p, do_``p} <= RESET; \
      else if (we_``p == 0 || WRITE == 0 || MODE == "READ_FIRST") begin \
        do_``p[31:0] <= (data[read_``p] >> from_``p) & (READ >= 36 ? -1 : (32'd1 << bits(READ)) - 1); \
        dop_``p[3:0] <= READ < 9 ? 0 : parity[read_``p] >> from_``p[4:3]; \
        if (READ == 72) begin \
          do_``p[63:32] <= data[read_``p | 1]; \
          dop_``p[7:4] <= parity[read_``p | 1]; \
        end \
      end else if (MODE == "WRITE_FIRST") begin \
        do_``p <= di_``p; \
        dop_``p <= dip_``p; \
      end \
    end \
    if (WRITE != 0 && we_``p != 0) begin \
      data[write_``p] <= (data[write_``p] & ~mask_``p) | ((di_``p[31:0] << to_``p) & mask_``p); \
      parity[write_``p] <= (parity[write_``p] & ~maskp_``p) \
                         | ((dip_``p[3:0] << to_``p[4:3]) & maskp_``p); \
      if (WRITE == 72) begin \
        data[write_``p | 1] <= (data[write_``p | 1] & ~upper_``p) | (di_``p[63:32] & upper_``p); \
        parity[write_``p | 1] <= (parity[write_``p | 1] & ~we_``p[7:4]) | (dip_``p[7:4] & we_``p[7:4]); \
      end \
    end \
  end

  `PORT(a, READ_A, WRITE_A, MODE_A, RESET_A)
  `PORT(b, READ_B, WRITE_B, MODE_B, RESET_B)
endmodule

`define EACH(p, n) parameter [255:0] p``n = 256'd0,
`define ROW(p) \
  `EACH(p, 0) `EACH(p, 1) `EACH(p, 2) `EACH(p, 3) `EACH(p, 4) `EACH(p, 5) `EACH(p, 6) `EACH(p, 7) \
  `EACH(p, 8) `EACH(p, 9) `EACH(p, A) `EACH(p, B) `EACH(p, C) `EACH(p, D) `EACH(p, E) `EACH(p, F)
`define ALL(p) p``F, p``E, p``D, p``C, p``B, p``A, p``9, p``8, p``7, p``6, p``5, p``4, p``3, p``2, p``1, p``0

// What both sizes have in common; what is not looked at may not be in use.
`define COMMON \
  parameter DOA_REG = 0, DOB_REG = 0, \
  parameter READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0, \
  parameter RAM_MODE = "TDP", WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST"
`define CHECKED \
  initial if (DOA_REG != 0 || DOB_REG != 0) $fatal(1, "block RAM output registers are not modelled"); \
  localparam SDP = RAM_MODE == "SDP";

module RAMB36E1 #(
  `ROW(INIT_0) `ROW(INIT_1) `ROW(INIT_2) `ROW(INIT_3) `ROW(INIT_4) `ROW(INIT_5) `ROW(INIT_6) `ROW(INIT_7)
  `ROW(INITP_0)
  parameter [35:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0,
  parameter RAM_EXTENSION_A = "NONE", RAM_EXTENSION_B = "NONE",
  `COMMON
) (
  input ENARDEN, CLKARDCLK, RSTRAMARSTRAM, RSTREGARSTREG, REGCEAREGCE, CASCADEINA,
  input ENBWREN, CLKBWRCLK, RSTRAMB, RSTREGB, REGCEB, CASCADEINB,
  input [15:0] ADDRARDADDR, ADDRBWRADDR,
  input [31:0] DIADI, DIBDI,
  input [3:0] DIPADIP, DIPBDIP, WEA,
  input [7:0] WEBWE,
  output [31:0] DOADO, DOBDO,
  output [3:0] DOPADOP, DOPBDOP
);
  `CHECKED
  wire [63:0] do_a, do_b;
  wire [7:0] dop_a, dop_b;
  penstock_block_ram #(
    .ABITS(15), .READ_A(READ_WIDTH_A), .READ_B(READ_WIDTH_B),
    .WRITE_A(WRITE_WIDTH_A), .WRITE_B(WRITE_WIDTH_B), .MODE_A(WRITE_MODE_A), .MODE_B(WRITE_MODE_B),
    .INIT({`ALL(INIT_7), `ALL(INIT_6), `ALL(INIT_5), `ALL(INIT_4),
           `ALL(INIT_3), `ALL(INIT_2), `ALL(INIT_1), `ALL(INIT_0)}),
    .INITP({`ALL(INITP_0)}),
    .RESET_A(72'(SRVAL_A)), .RESET_B(72'(SRVAL_B))
  ) ram (
    .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .en_a(ENARDEN), .en_b(ENBWREN),
    .rst_a(RSTRAMARSTRAM), .rst_b(RSTRAMB),
    .addr_a(ADDRARDADDR[14:0]), .addr_b(ADDRBWRADDR[14:0]),
    .di_a({32'd0, DIADI}), .dip_a({4'd0, DIPADIP}), .we_a({4'd0, WEA}),
    .di_b(WRITE_WIDTH_B == 72 ? {DIBDI, DIADI} : {32'd0, DIBDI}),
    .dip_b(WRITE_WIDTH_B == 72 ? {DIPBDIP, DIPADIP} : {4'd0, DIPBDIP}),
    .we_b(WRITE_WIDTH_B == 72 ? WEBWE : {4'd0, WEBWE[3:0]}),
    .do_a(do_a), .dop_a(dop_a), .do_b(do_b), .dop_b(dop_b)
  );
  assign DOADO = do_a[31:0];
  assign DOPADOP = dop_a[3:0];
  assign DOBDO = SDP ? do_a[63:32] : do_b[31:0];
  assign DOPBDOP = SDP ? dop_a[7:4] : dop_b[3:0];
endmodule

module RAMB18E1 #(
  `ROW(INIT_0) `ROW(INIT_1) `ROW(INIT_2) `ROW(INIT_3)
  parameter [255:0] INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0,
  parameter [255:0] INITP_04 = 0, INITP_05 = 0, INITP_06 = 0, INITP_07 = 0,
  parameter [17:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0,
  `COMMON
) (
  input ENARDEN, CLKARDCLK, RSTRAMARSTRAM, RSTREGARSTREG, REGCEAREGCE,
  input ENBWREN, CLKBWRCLK, RSTRAMB, RSTREGB, REGCEB,
  input [13:0] ADDRARDADDR, ADDRBWRADDR,
  input [15:0] DIADI, DIBDI,
  input [1:0] DIPADIP, DIPBDIP, WEA,
  input [3:0] WEBWE,
  output [15:0] DOADO, DOBDO,
  output [1:0] DOPADOP, DOPBDOP
);
  `CHECKED
  wire [63:0] do_a, do_b;
  wire [7:0] dop_a, dop_b;
  penstock_block_ram #(
    .ABITS(14), .READ_A(READ_WIDTH_A), .READ_B(READ_WIDTH_B),
    .WRITE_A(WRITE_WIDTH_A), .WRITE_B(WRITE_WIDTH_B), .MODE_A(WRITE_MODE_A), .MODE_B(WRITE_MODE_B),
    .INIT({`ALL(INIT_3), `ALL(INIT_2), `ALL(INIT_1), `ALL(INIT_0)}),
    .INITP({INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00}),
    .RESET_A(SDP ? {36'd0, SRVAL_B[17:16], SRVAL_A[17:16], SRVAL_B[15:0], SRVAL_A[15:0]}
                 : 72'(SRVAL_A)),
    .RESET_B(72'(SRVAL_B))
  ) ram (
    .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .en_a(ENARDEN), .en_b(ENBWREN),
    .rst_a(RSTRAMARSTRAM), .rst_b(RSTRAMB),
    .addr_a(ADDRARDADDR), .addr_b(ADDRBWRADDR),
    .di_a({48'd0, DIADI}), .dip_a({6'd0, DIPADIP}), .we_a({6'd0, WEA}),
    .di_b({32'd0, WRITE_WIDTH_B == 36 ? {DIBDI, DIADI} : {16'd0, DIBDI}}),
    .dip_b({4'd0, WRITE_WIDTH_B == 36 ? {DIPBDIP, DIPADIP} : {2'd0, DIPBDIP}}),
    .we_b({4'd0, WEBWE}),
    .do_a(do_a), .dop_a(dop_a), .do_b(do_b), .dop_b(dop_b)
  );
  assign DOADO = do_a[15:0];
  assign DOPADOP = dop_a[1:0];
  assign DOBDO = SDP ? do_a[31:16] : do_b[15:0];
  assign DOPBDOP = SDP ? dop_a[3:2] : dop_b[1:0];
endmodule
