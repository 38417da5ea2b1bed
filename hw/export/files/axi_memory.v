// A small memory with AXI4 ports, as much of AXI4 as Penstock's masters use: INCR bursts of whole
// 64-bit beats, one burst at a time on each port.  Addresses beyond the memory are answered with
// DECERR.
`timescale 1ns / 1ps
`default_nettype none

module axi_memory #(
    parameter WORDS = 1024,    // of 64 bits
    parameter READERS = 3,
    parameter INIT = "",       // file for $readmemh
    parameter LATENCY = 4      // cycles from an address to the first beat
) (
    input  wire                  clk,
    input  wire                  rst,
    // READERS ports, the first in the lowest bits
    input  wire [32*READERS-1:0] araddr,
    input  wire [8*READERS-1:0]  arlen,
    input  wire [READERS-1:0]    arvalid,
    output wire [READERS-1:0]    arready,
    output wire [64*READERS-1:0] rdata,
    output wire [2*READERS-1:0]  rresp,
    output wire [READERS-1:0]    rlast,
    output wire [READERS-1:0]    rvalid,
    input  wire [READERS-1:0]    rready,
    // one port that writes
    input  wire [31:0]           awaddr,
    input  wire [7:0]            awlen,
    input  wire                  awvalid,
    output wire                  awready,
    input  wire [63:0]           wdata,
    input  wire [7:0]            wstrb,
    input  wire                  wlast,
    input  wire                  wvalid,
    output wire                  wready,
    output reg  [1:0]            bresp,
    output reg                   bvalid,
    input  wire                  bready
);
  localparam OKAY = 2'b00, DECERR = 2'b11;

  reg [63:0] memory [0:WORDS-1];
  initial if (INIT != "") $readmemh(INIT, memory);

  genvar k;
  generate
    for (k = 0; k < READERS; k = k + 1) begin : reader
      reg        busy;
      reg [28:0] word;
      reg [7:0]  left;
      reg [7:0]  waiting;
      wire       known = word < WORDS;
      assign arready[k] = !busy;
      assign rvalid[k] = busy && waiting == 0;
      assign rdata[64*k +: 64] = known ? memory[word] : 64'd0;
      assign rresp[2*k +: 2] = known ? OKAY : DECERR;
      assign rlast[k] = left == 0;
      always @(posedge clk)
        if (rst) begin
          busy <= 0;
          word <= 0;
          left <= 0;
          waiting <= 0;
        end else if (!busy) begin
          if (arvalid[k]) begin
            busy <= 1;
            word <= araddr[32*k+3 +: 29];
            left <= arlen[8*k +: 8];
            waiting <= LATENCY;
          end
        end else if (waiting != 0) waiting <= waiting - 1;
        else if (rready[k]) begin
          word <= word + 1;
          left <= left - 1;
          if (left == 0) busy <= 0;
        end
    end
  endgenerate

  reg        writing;
  reg [28:0] place;
  integer    lane;
  assign awready = !writing && !bvalid;
  assign wready = writing;
  always @(posedge clk)
    if (rst) begin
      writing <= 0;
      place <= 0;
      bvalid <= 0;
      bresp <= OKAY;
    end else begin
      if (awvalid && awready) begin
        writing <= 1;
        place <= awaddr[31:3];
        bresp <= OKAY;
      end
      if (wvalid && wready) begin
        if (place < WORDS) begin
          for (lane = 0; lane < 8; lane = lane + 1)
            if (wstrb[lane]) memory[place][8*lane +: 8] <= wdata[8*lane +: 8];
        end else bresp <= DECERR;
        place <= place + 1;
        if (wlast) begin
          writing <= 0;
          bvalid <= 1;
        end
      end
      if (bvalid && bready) bvalid <= 0;
    end
endmodule

`default_nettype wire
